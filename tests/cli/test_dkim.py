"""dkim: keys are listed, replaced and retired."""

import json
from typing import Any

from mailstack.control.client import ask
from tests.support.console import Console
from tests.support.server import Server


def test_keys_are_replaced(server: Server) -> None:
    console, domain = Console(server), "dkim.test"

    def do(name: str, **arguments: Any) -> Any:
        answer = ask(server.data / "control.sock", name, {"domain": domain, **arguments})
        assert answer is not None
        return answer.get("ok") or answer["error"]

    do("domain.add")
    old = json.loads(console.run("dkim", "list", domain, "--json").stdout)
    assert [(row["algorithm"], row["state"]) for row in old] == [("ed25519-sha256", "signing"), ("rsa-sha256", "signing")]
    shown = console.run("dkim", "rotate", domain).stdout
    rows = do("dkim.check")
    waiting = [row for row in rows if row["state"] == "waiting"]
    assert len(rows) == 4
    assert all(row["name"] in shown and row["dns"] != "right" for row in waiting)
    published = [one["name"] for one in do("domain.records")["dkim"]]
    assert all(row["name"] in published for row in rows)
    assert "still wait" in do("dkim.rotate")
    do("dkim.retire", selector=old[0]["selector"])
    assert "only key" in do("dkim.retire", selector=old[1]["selector"])
    assert "v=DKIM1; p=" in console.run("dkim", "retire", domain, old[1]["selector"], "--now").stdout
    assert not (server.data / "dkim" / domain / f"{old[1]['selector']}.pem").exists()
    assert sorted(row["state"] for row in do("dkim.list")) == ["retired", "waiting", "waiting"]
    ask(server.data / "control.sock", "domain.remove", {"domain": domain})  # others share the server
    assert "no domain dkim.test" in do("dkim.list")
