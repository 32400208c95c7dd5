"""Domains whose mail is passed on: whom the server inside knows, the way there, and backups for others."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.delivery.callout import Callout
from mailstack.message.address import parse_address
from mailstack.net.tls import client_context
from mailstack.policy.inbound import Recipients
from mailstack.policy.passing import BAD_SECONDS, GOOD_SECONDS, Passing
from mailstack.policy.routing import Remote
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept
from mailstack.store.users.directory import DirectoryProblem
from mailstack.store.users.gateways import Gateway, Knows
from mailstack.wire.smtp import MailParameters
from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer, Script, until
from tests.support.relay import Relay

INSIDE = "inside.test"


@pytest.fixture
async def here(tmp_path: Path, dns: DnsServer, peer: Peer) -> AsyncIterator[Relay]:
    dns.add("server.inside.test", A=["127.0.0.1"])
    # The smarthost is not there: what went to it would never arrive.
    async with Relay(tmp_path, dns, peer, smarthost="smtp://smart.test:9") as relay:
        await relay.data.gateways.put(Gateway(INSIDE, "server.inside.test", peer.port))
        yield relay


def recipients(relay: Relay) -> Recipients:
    callout = Callout(relay.resolver, "mail.a.test", client_context(verify=False))
    passing = Passing(relay.data.gateways, callout.ask, relay.clock)
    return Recipients(relay.router, relay.data.directory, relay.data.mailboxes, 100, passing)


async def judged(relay: Relay, door: Recipients, to: str) -> int:
    """The code of the answer to RCPT."""
    transaction = Transaction(
        id="x", peer="192.0.2.1", helo="x", protocol="ESMTP", tls=None, account=None, received=relay.clock(),
        sender=parse_address("far@far.test"), parameters=MailParameters(),
    )  # fmt: skip
    verdict, routes = await door.judge(transaction, parse_address(to))
    if isinstance(verdict, Accept):
        assert routes == (Remote(parse_address(to)),)
        return 250
    return verdict.reply.code


async def test_the_server_inside_is_asked_and_its_answers_are_kept(here: Relay, peer: Peer) -> None:
    peer.play(Script({"RCPT TO:<no@": "550 5.1.1 nobody", "RCPT TO:<later@": "451 4.3.0 not now"}))
    door = recipients(here)
    for _ in range(2):
        assert await judged(here, door, "yes@inside.test") == 250
        assert await judged(here, door, "no@inside.test") == 550
    asked = [command for command in peer.commands if command.startswith("RCPT")]
    assert len(asked) == 2
    assert {command for command in peer.commands if command.startswith("MAIL")} == {"MAIL FROM:<>"}
    assert await judged(here, door, "later@inside.test") == 450
    assert await judged(here, door, "yes@sub.inside.test") == 550
    here.clock.now += BAD_SECONDS + 1
    peer.play(Script({}))
    assert await judged(here, door, "no@inside.test") == 250


async def test_while_the_server_inside_is_away_those_that_it_knew_are_taken(here: Relay, peer: Peer) -> None:
    door = recipients(here)
    assert await judged(here, door, "yes@inside.test") == 250
    peer.play(Script({"": "421 4.3.2 not now"}))
    here.clock.now += GOOD_SECONDS + 1
    assert await judged(here, door, "yes@inside.test") == 250
    assert await judged(here, door, "other@inside.test") == 450


async def test_recipients_that_are_named_and_any(here: Relay, peer: Peer) -> None:
    door, gateways = recipients(here), here.data.gateways
    await gateways.put(Gateway(INSIDE, "server.inside.test", peer.port, Knows.LIST))
    await gateways.name(INSIDE, ["yes@inside.test"], there=True)
    assert [await judged(here, door, f"{name}@inside.test") for name in ("yes", "Yes", "no")] == [250, 250, 550]
    await gateways.name(INSIDE, ["yes@inside.test"], there=False)
    assert await judged(here, door, "yes@inside.test") == 550
    with pytest.raises(DirectoryProblem):
        await gateways.name(INSIDE, ["yes@inside.test"], there=False)
    await gateways.put(Gateway(INSIDE, "server.inside.test", peer.port, Knows.ANY))
    assert await judged(here, door, "no@inside.test") == 250
    assert peer.commands == []
    await gateways.remove(INSIDE)
    assert await judged(here, door, "no@inside.test") == 550


async def test_what_is_here_is_not_passed_on_and_the_other_way_round(here: Relay) -> None:
    with pytest.raises(DirectoryProblem):
        await here.data.gateways.put(Gateway("a.test", "server.inside.test"))
    with pytest.raises(DirectoryProblem):
        await here.data.directory.add_domain(INSIDE)


async def test_mail_goes_to_the_server_inside_and_not_to_the_smarthost(here: Relay, peer: Peer) -> None:
    id = await here.send("yes@inside.test", sender="far@far.test", account=None)
    await until(lambda: not here.queue.messages)
    (message,) = peer.messages
    assert (message.mail.split()[1], message.to) == ("FROM:<far@far.test>", ["yes@inside.test"])
    assert id not in here.queue.messages
    other = await here.send("x@b.test")
    assert (await here.settled(other)) is not None


async def test_a_server_inside_that_is_away_keeps_the_mail_waiting(here: Relay, peer: Peer) -> None:
    peer.play(Script({"": "421 4.3.2 not now"}))
    id = await here.send("yes@inside.test", sender="far@far.test", account=None)
    queued = await here.settled(id)
    assert queued is not None
    assert queued.states[0].reply.startswith("4")
    peer.play(Script({}))
    await here.again(id)
    await until(lambda: len(peer.messages) == 1)


async def test_a_backup_passes_on_to_better_hosts_alone(tmp_path: Path, dns: DnsServer, peer: Peer) -> None:
    dns.add("other.test", MX=["10 mail.b.test.", "20 mail.a.test.", "30 worse.test."])
    dns.add("alone.test", MX=["20 mail.a.test."])
    async with Relay(tmp_path, dns, peer, smarthost="smtp://smart.test:9") as relay:
        for domain in ("other.test", "alone.test"):
            await relay.data.gateways.put(Gateway(domain, None, peer.port))
        door = recipients(relay)
        assert await judged(relay, door, "x@other.test") == 250
        assert await judged(relay, door, "x@alone.test") == 450
        await relay.send("x@other.test", sender="far@far.test", account=None)
        await until(lambda: len(peer.messages) == 1)
        assert peer.messages[0].to == ["x@other.test"]
        lost = await relay.send("x@alone.test", sender=None, account=None)
        await until(lambda: lost not in relay.queue.messages)
