"""dns: compared, printed as a zone, changed, and waited for."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dns.name
import pytest
import typer

from mailstack.cli.dns import is_essential, wait_until_right
from mailstack.control.client import ask
from mailstack.net.dns_update import quoted
from tests.support.console import Console
from tests.support.dnsserver import DnsServer
from tests.support.server import Server

SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
SOA = ["ns.a.test. hostmaster.a.test. 1 3600 600 86400 60"]


@pytest.fixture
def zone() -> Iterator[DnsServer]:
    names = {"a.test": {"SOA": SOA}, "100.51.198.in-addr.arpa": {"SOA": SOA}}
    with DnsServer({**names, "1.100.51.198.in-addr.arpa": {"PTR": ["mail.a.test."]}}) as one:
        one.keys["mail."] = SECRET
        yield one


@pytest.fixture
def console(tmp_path: Path, zone: DnsServer) -> Console:
    """With no server running."""
    (tmp_path / "key").write_text(f'key "mail" {{ algorithm hmac-sha256; secret "{SECRET}"; }};')
    server = f"127.0.0.1:{zone.port}"
    settings = f'[dns]\nnameservers = ["{server}"]\naddresses = ["198.51.100.1"]\nupdate_server = "{server}"\n'
    one = Server(tmp_path, users=("alice",), settings=f'{settings}update_key_file = "{tmp_path}/key"\n')
    one.provision()
    return Console(one)


def test_an_update_makes_all_right(console: Console, zone: DnsServer) -> None:
    before = console.run("dns", "a.test", "--json", check=False)
    assert (before.returncode, {row["state"] for row in json.loads(before.stdout)} >= {"bad", "warn", "info"}) == (1, True)
    printed = console.run("dns", "--zone").stdout
    assert "mail.a.test. 3600 IN A 198.51.100.1" in printed
    assert "a.test. 3600 IN MX 10 mail.a.test." in printed
    done = console.run("dns", "--update", "--json")
    assert "+ a.test. MX 10 mail.a.test." in done.stderr
    assert {row["state"] for row in json.loads(done.stdout)} == {"ok", "info"}
    assert "ok    MX" in console.run("dns").stdout
    apex = zone.records[dns.name.from_text("a.test")]
    apex["MX"] = ["5 mx.b.test."]
    assert console.run("dns", "--update", check=False).returncode == 1
    assert apex["MX"] == ["5 mx.b.test."]
    console.run("dns", "--update", "--replace")
    assert apex["MX"] == ["10 mail.a.test."]
    zone.keys.clear()
    del apex["MX"]
    said = console.run("dns", "--update", check=False)
    assert (said.returncode, "key" in said.stderr, SECRET in said.stderr) == (1, True, False)


def test_waiting_ends_when_all_is_right(server: Server, zone: DnsServer) -> None:
    """The running server asks; records come while it waits."""
    at = f"127.0.0.1:{zone.port}"
    rows = ask(server.data / "control.sock", "dns.records", {"domain": "a.test"})
    assert rows is not None

    def publish() -> None:
        time.sleep(0.3)  # some looks see nothing yet; nothing depends on how many
        for row in rows["ok"]:
            value = quoted(row["value"]) if row["kind"] == "TXT" else row["value"]
            zone.records.setdefault(dns.name.from_text(row["name"]), {}).setdefault(row["kind"], []).append(value)
        zone.add("mail.a.test", A=["198.51.100.1"])

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        waited = Console(server).run("dns", "a.test", "--wait", "--server", at, "--every", "100ms", "--for", "60s")
    finally:
        thread.join()
    assert "The DNS is as it should be." in waited.stdout
    assert "ok    MX a.test" in waited.stdout
    zone.records.pop(dns.name.from_text("_dmarc.a.test"))
    late = Console(server).run("dns", "a.test", "--wait", "--server", at, "--for", "1s", check=False)
    assert (late.returncode, "DMARC _dmarc.a.test: publish" in late.stdout) == (1, True)


def test_what_nobody_can_say_is_not_right() -> None:
    row = {"what": "MX", "state": "warn", "found": []}
    assert is_essential(row)
    assert not is_essential({**row, "what": "SPF"})
    assert not is_essential({**row, "found": ["10 mail.a.test."]})


def test_ctrl_c_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It does not pass for right, also when it comes before the first answer."""
    row = {"what": "MX", "name": "a.test", "state": "bad", "text": "t", "fix": "publish it", "found": []}
    answers: list[list[dict[str, object]]] = [[row]]

    class Interrupted:
        def run(self, *_: object, **__: object) -> list[dict[str, object]]:
            if not answers:
                raise KeyboardInterrupt
            return answers.pop()

    for wanted in ("MX a.test: publish it", "Stopped waiting"):
        with pytest.raises(typer.Exit):
            wait_until_right(Interrupted(), {}, 0.0, None)  # type: ignore[arg-type]
        assert wanted in capsys.readouterr().out
