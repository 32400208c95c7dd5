"""check: keys, DNSSEC and our own policy, each way that they may be."""

from typing import Any

import pytest

from mailstack.cli import checking_transport
from mailstack.config import Config, Dns, MtaSts
from mailstack.net.dns import Resolver
from tests.support.dnsserver import DnsServer

NOW = 1e12


def row(domain: str, selector: str, state: str, seen: str, since: float = NOW) -> dict[str, Any]:
    return {"domain": domain, "selector": selector, "state": state, "dns": seen, "since": since}


@pytest.mark.parametrize(
    ("rows", "states"),
    [
        ([row("a.test", "r", "signing", "right")], ["ok"]),
        ([row("a.test", "r", "signing", "missing"), row("a.test", "e", "signing", "right")], ["ok"]),
        ([row("a.test", "r", "signing", "missing"), row("a.test", "e", "signing", "other")], ["bad"]),
        ([row("a.test", "r", "signing", "unknown")], ["ok"]),
        ([row("a.test", "r", "signing", "right", 1.0)], ["warn"]),
        ([row("a.test", "r", "retired", "right"), row("a.test", "e", "waiting", "missing")], ["bad", "warn"]),
        ([], []),
    ],
)
def test_keys(rows: list[dict[str, Any]], states: list[str]) -> None:
    said: list[str] = []
    checking_transport.keys(rows, lambda what, state, text: said.append(state))
    assert said == states


async def test_dnssec_and_the_policy() -> None:
    said: list[tuple[str, str]] = []

    def say(what: str, state: str, text: str) -> None:
        said.append((what, state))

    with DnsServer({"iana.org": {"A": ["192.0.2.1"]}, "mta-sts.a.test": {"A": ["127.0.0.1"]}}) as dns:
        server = [f"127.0.0.1:{dns.port}"]
        config = Config(hostname="mail.a.test", dns=Dns(server, True), mta_sts=MtaSts("testing"))
        await checking_transport.dnssec(config, Resolver(["192.0.2.1"], dnssec=True), say)
        await checking_transport.dnssec(config, Resolver(server, dnssec=True), say)
        dns.signed.add("iana.org")
        await checking_transport.dnssec(config, Resolver(server, dnssec=True), say)
        await checking_transport.dnssec(Config(), Resolver(server), say)
        dns.add("mta-sts.a.test")
        await checking_transport.policies(config, ["a.test"], Resolver(server), say)
        await checking_transport.policies(Config(), ["a.test"], Resolver(server), say)
    assert said == [("DNSSEC", "bad"), ("DNSSEC", "bad"), ("DNSSEC", "ok"), ("MTA-STS a.test", "bad")]
