"""tls: what is known of others, and what we say of ourselves."""

import json
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


async def test_what_is_damaged_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "transport.sqlite3"
    path.write_bytes(b"no database" * 1000)
    store = TransportStore(path)
    await store.open()
    await store.keep_level("b.test", KeptLevel(3, 5.0))
    await store.close()
    assert (tmp_path / "transport.sqlite3.damaged").exists()
