"""tls: what is known of others, and what we say of ourselves."""

import http.client
import json
import ssl
import urllib.request
from pathlib import Path

from mailstack.control.tls import TlsOperations
from mailstack.store.transport import KeptLevel, KeptPolicy, TransportStore
from mailstack.wire.mta_sts import own_policy
from tests.support.console import Console
from tests.support.server import Server


async def test_what_is_known_is_listed_and_forgotten(tmp_path: Path) -> None:
    store = TransportStore(tmp_path / "transport.sqlite3")
    await store.open()
    policy = own_policy("enforce", "mail.b.test", 60)
    await store.keep_level("b.test", KeptLevel(3, 5.0))
    await store.keep_policy("b.test", KeptPolicy("1", str(policy), 1.0, 61.0))
    await store.keep_level("c.test", KeptLevel(1, 6.0))
    await store.close()
    again = TransportStore(tmp_path / "transport.sqlite3")
    table = TlsOperations(again, open_=True).table()
    rows = await table["tls.list"]({})
    assert [(row["domain"], row["level"], row["mta_sts"], row["hosts"]) for row in rows] == [
        ("b.test", "dane", "enforce", "mail.b.test"),
        ("c.test", "encrypted", None, None),
    ]
    await table["tls.forget"]({"domain": "b.test"})
    assert [row["domain"] for row in await table["tls.list"]({})] == ["c.test"]
    await again.close()


def test_the_commands(server: Server) -> None:
    console = Console(server)
    assert "x.test" not in [row["domain"] for row in json.loads(console.run("tls", "list", "--json").stdout)]
    assert "nothing is known" in console.run("tls", "forget", "x.test", check=False).stderr
    assert "_25._tcp." in console.run("tls", "record").stdout


def test_what_is_served_at_every_door(server: Server) -> None:
    console = Console(server)
    rows = json.loads(console.run("tls", "served", "--json").stdout)
    doors = {row["listener"].partition(" ")[0] for row in rows}
    assert doors == {
        "smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "managesieve", "https"
    }  # fmt: skip
    assert {row["name"] for row in rows} == {None, "mail.a.test", "localhost"}
    assert {row["state"] for row in rows} == {"right"}
    assert server.events("tls.served")[-1]["right"] == len(rows)
    # One who trusts the authority's file is asked nothing; the web server has it, too.
    pem = console.run("tls", "ca").stdout
    context = ssl.create_default_context(cadata=pem)
    client = http.client.HTTPSConnection("localhost", server.ports["https"], context=context, timeout=20)
    client.request("GET", "/ca.pem")
    assert client.getresponse().read().decode() == pem
    client.close()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.ports['http']}/metrics", timeout=20) as answer:
        metrics = answer.read().decode()
    assert 'mailstack_certificate_end_timestamp_seconds{names="mail.a.test localhost"}' in metrics
    assert "mailstack_certificates_wrong 0.0" in metrics
    for words in (("tls", "status"), ("tls", "renew")):
        done = console.run(*words, check=False)
        assert (done.returncode, "asks no authority" in done.stderr) == (1, True)


async def test_what_is_damaged_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "transport.sqlite3"
    path.write_bytes(b"no database" * 1000)
    store = TransportStore(path)
    await store.open()
    await store.keep_level("b.test", KeptLevel(3, 5.0))
    await store.close()
    assert (tmp_path / "transport.sqlite3.damaged").exists()
