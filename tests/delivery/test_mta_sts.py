"""MTA-STS: nothing goes where a domain's policy forbids it, and nobody takes the policy away (RFC 8461)."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from tests.support.dnsserver import DnsServer
from tests.support.peer import Act, Peer, Script
from tests.support.policyserver import PolicyServer
from tests.support.relay import Relay, outcome

POLICY = "version: STSv1\nmode: {}\nmx: {}\nmax_age: 604800\n"


def context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(made)
    return made


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    made = ssl.create_default_context()
    authority.configure_trust(made)
    return made


@pytest.fixture
async def web(authority: trustme.CA) -> AsyncIterator[PolicyServer]:
    async with PolicyServer(authority, "b.test", POLICY.format("enforce", "mail.b.test")) as one:
        yield one


@pytest.fixture
async def relay(tmp_path: Path, dns: DnsServer, peer: Peer, web: PolicyServer, authority: trustme.CA) -> AsyncIterator[Relay]:
    dns.add("_mta-sts.b.test", TXT=['"v=STSv1; id=1;"'])
    dns.add("mta-sts.b.test", A=["127.0.0.1"])
    peer.play(Script(tls=context(authority, "mail.b.test")))
    async with Relay(tmp_path, dns, peer, sts_port=web.port, verified=trusting(authority)) as one:
        yield one


def fresh(relay: Relay, dns: DnsServer) -> None:
    """What the DNS said before is forgotten."""
    relay.resolver.use([f"127.0.0.1:{dns.port}"])


async def test_a_proved_host_gets_mail_and_the_trace_says_how(relay: Relay, peer: Peer, web: PolicyServer) -> None:
    id = await relay.send("bob@b.test")
    assert await relay.settled(id) is None
    assert [session.secure for session in peer.sessions] == [True]
    assert web.asked == ["/.well-known/mta-sts.txt"]
    (event,) = [one for one in await relay.data.trace.find(id) if one["event"] == "delivered"]
    assert event["tls"] == "TLSv1.3, MTA-STS (enforce)"
    await relay.settled(await relay.send("bob@b.test"))
    assert len(web.asked) == 1


WAYS = {
    "no TLS": "starttls-not-supported",
    "other name": "certificate-host-mismatch",
    "nobody's certificate": "certificate-not-trusted",
    "broken TLS": "validation-failure",
    "refused": "starttls-not-supported",
}


@pytest.mark.parametrize("mode", ["enforce", "testing", "none"])
async def test_what_the_policy_forbids(relay: Relay, peer: Peer, web: PolicyServer, authority: trustme.CA, mode: str) -> None:
    web.policy = POLICY.format(mode, "*.b.test")
    good = context(authority, "mail.b.test")
    contexts = {
        "other name": context(authority, "x.test"),
        "nobody's certificate": context(trustme.CA(), "mail.b.test"),
        "broken TLS": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        "refused": good,
    }
    for number, (how, kind) in enumerate(WAYS.items()):
        answers: dict[str, str | Act] = {"STARTTLS": "502 5.5.1 what?"} if how == "refused" else {}
        peer.play(Script(answers, tls=contexts.get(how), only=1))
        id = await relay.send("bob@b.test")
        if mode == "enforce":
            said = await outcome(relay, id)
            assert said.startswith("451 4.7."), how
            assert "MTA-STS (enforce)" in said, how
            assert len(peer.messages) == number, how
            peer.play(Script(tls=good, only=1))
            assert await relay.again(id) is None, how
        else:
            assert await relay.settled(id) is None, how
        assert len(peer.messages) == number + 1, how
        relay.clock.now += 86400  # a day's results by themselves
        assert mode == "none" or kind in await _failures_before(relay), how


async def _failures_before(relay: Relay) -> set[str]:
    results = (await relay.data.transport.results(int(relay.clock() // 86400) - 1)).get("b.test", [])
    assert {one.kind for one, _ in results} <= {"sts"}
    return {one.failure for one, _ in results if one.failure}


async def test_a_host_that_the_policy_does_not_name(relay: Relay, peer: Peer, web: PolicyServer, dns: DnsServer) -> None:
    web.policy = POLICY.format("enforce", "else.b.test")
    said = await outcome(relay, await relay.send("bob@b.test"))
    assert said == "451 4.7.5 the MTA-STS policy of its domain does not name mail.b.test; MTA-STS (enforce) asks for it"
    assert peer.sessions == []


async def test_without_a_policy_it_is_as_before(
    relay: Relay, peer: Peer, web: PolicyServer, dns: DnsServer, authority: trustme.CA
) -> None:
    good = web.policy
    peer.play(Script(only=1))
    for status, media_type, policy in (
        ("404 Not Found", "text/plain", good),
        ("301 Moved Permanently", "text/plain", good),
        ("200 OK", "text/html", good),
        ("200 OK", "text/plain", "version: STSv1\nmode: enforce\nmax_age: 1\n"),
        ("200 OK", "text/plain", good + "x: y\n" * 20000),
    ):
        web.status, web.media_type, web.policy = status, media_type, policy
        web.asked.clear()
        assert await relay.settled(await relay.send("bob@b.test")) is None
        assert await relay.settled(await relay.send("bob@b.test")) is None
        assert len(web.asked) == 1  # a fetch that failed is not tried again at once
        relay.clock.now += 301
    authority.issue_cert("x.test").configure_cert(web.context)
    web.asked.clear()
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert web.asked == []
    results = (await relay.data.transport.results(int(relay.clock() // 86400)))["b.test"]
    assert {one.failure for one, _ in results} >= {"sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"}


async def test_nobody_takes_a_policy_away(relay: Relay, peer: Peer, web: PolicyServer, dns: DnsServer) -> None:
    peer.play(Script(only=1))
    id = await relay.send("bob@b.test")
    assert (await outcome(relay, id)).startswith("451 4.7.4")

    async def stays() -> None:
        fresh(relay, dns)
        relay.clock.now += 301
        assert await relay.again(id) is not None
        assert peer.messages == []

    web.status = "500 No"
    dns.add("_mta-sts.b.test", TXT=['"v=STSv1; id=2;"'])
    await stays()
    dns.add("_mta-sts.b.test")
    await stays()
    dns.broken.add("_mta-sts.b.test")
    await stays()
    relay.data.transport.policies.clear()
    await relay.data.transport.open()  # as a restart does
    await stays()
    relay.clock.now += 604801
    assert await relay.again(id) is None


async def test_a_policy_changes_with_its_id(relay: Relay, peer: Peer, web: PolicyServer, dns: DnsServer) -> None:
    peer.play(Script(only=1))
    id = await relay.send("bob@b.test")
    assert (await outcome(relay, id)).startswith("451 4.7.4")
    web.policy = POLICY.format("none", "x.test")
    relay.clock.now += 60
    assert await relay.again(id) is not None
    dns.add("_mta-sts.b.test", TXT=['"v=STSv1; id=2;"'])
    fresh(relay, dns)
    assert await relay.again(id) is None


async def test_the_next_host_is_taken_where_the_first_is_not_named(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("b.test", MX=["5 evil.test.", "10 mail.b.test."])
    dns.add("evil.test", A=["127.0.0.1"])
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert len(peer.sessions) == 1


async def test_a_downgrade_is_seen_and_stopped_where_that_is_wanted(relay: Relay, peer: Peer, authority: trustme.CA) -> None:
    def play(tls: ssl.SSLContext | None) -> None:
        peer.play(Script(tls=tls, only=1))

    play(context(authority, "mail.c.test"))
    await relay.settled(await relay.send("bob@c.test"))
    play(None)
    relay.clock.now += 10
    id = await relay.send("bob@c.test")
    assert await relay.settled(id) is None
    (event,) = [one for one in await relay.data.trace.find(id) if one["event"] == "downgrade"]
    assert "c.test had 'encrypted' before" in event["reason"]

    relay.policies.keeps = True
    id = await relay.send("bob@c.test")
    assert "which the domain offered before" in await outcome(relay, id)
    assert await relay.data.transport.forget("c.test")
    assert await relay.again(id) is None
