"""What an account's rules send leaves once: whatever step a delivery stops or fails at, and however often it is tried."""

import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.message.address import parse_address
from mailstack.message.envelope import Recipient
from mailstack.store.errors import StoreFailed
from mailstack.store.mailbox.account import Account
from mailstack.wire.smtp import Reply
from tests.delivery.test_accept import accept, cut_off, restarted
from tests.delivery.test_plan import account_of
from tests.delivery.test_rule_actions import BODY
from tests.delivery.test_rules import use
from tests.support.dnsserver import DnsServer
from tests.support.faults import Stopped, StoppingDisk
from tests.support.peer import Peer, Script, until
from tests.support.relay import Relay

SCRIPT = 'require ["copy", "vacation"]; redirect :copy "x@b.test"; redirect :copy "y@c.test"; vacation :days 7 "away";'
ONCE = Counter({"x@b.test": 1, "y@c.test": 1, "far@far.test": 1})
SILENT = Script({"": "421 4.3.2 not now"})


@pytest.fixture
async def here(tmp_path: Path, dns: DnsServer, peer: Peer) -> AsyncIterator[Relay]:
    dns.add("far.test", MX=["10 mail.b.test."])
    async with Relay(tmp_path, dns, peer) as relay:
        await relay.add("bob@a.test")
        await use(relay, SCRIPT)
        yield relay


def sent(peer: Peer) -> Counter[str]:
    return Counter(to for message in peer.messages for to in message.to)


def failing(monkeypatch: pytest.MonkeyPatch, account: Account, times: int) -> None:
    """The mailboxes of one account can't be written, so many times."""
    left = times
    for name in ("commit", "deliver"):
        real = getattr(Account, name)

        async def call(self: Account, *arguments: object, real=real) -> object:  # type: ignore[no-untyped-def]
            nonlocal left
            if self is account and left > 0:
                left -= 1
                raise StoreFailed("broken")
            return await real(self, *arguments)

        monkeypatch.setattr(Account, name, call)


async def till_done(relay: Relay) -> None:
    """Every message is tried until nothing is owed; the next attempts come at once."""

    def over() -> bool:
        for queued in relay.queue.messages.values():
            if not queued.busy and queued.attempts:
                relay.runner.kick(queued)
        return not relay.queue.messages

    await until(over)


@pytest.mark.parametrize("to", [("alice@a.test",), ("alice@a.test", "bob@a.test")], ids=["alone", "with another"])
async def test_a_mailbox_that_fails_after_what_left(
    here: Relay, peer: Peer, monkeypatch: pytest.MonkeyPatch, to: tuple[str, ...]
) -> None:
    """At the commit, and once more out of the queue, minutes later: the answer is remembered, nothing is sent again."""
    failing(monkeypatch, await account_of(here), 2)
    assert (await accept(here, *to, body=BODY)).positive
    await until(lambda: sent(peer) == ONCE)
    here.clock.now += 120.0
    await till_done(here)
    assert sent(peer) == ONCE
    assert len(await here.inbox()) == 1
    assert (await accept(here, "alice@a.test", body=BODY)).positive
    await till_done(here)
    assert sent(peer) == ONCE + Counter({"x@b.test": 1, "y@c.test": 1})


async def test_what_a_queued_message_sends_waits_until_its_mailbox_has_it(
    here: Relay, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, await account_of(here), 3)
    queued = await here.send(Recipient(parse_address("alice@a.test")), text=BODY, sender="far@far.test", account=None)
    for _ in range(2):
        await here.settled(queued)
        assert len(here.queue.messages) == 4
        for one in list(here.queue.messages.values()):
            here.runner.kick(one)
        here.clock.now += 120.0
        await here.again(queued)
    assert sent(peer) == Counter()
    await till_done(here)
    assert sent(peer) == ONCE
    assert len(await here.inbox()) == 1


async def test_what_waits_for_a_message_that_is_dropped_goes(here: Relay, peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, await account_of(here), 1)
    id = await here.send(Recipient(parse_address("alice@a.test")), text=BODY, sender="far@far.test", account=None)
    queued = await here.settled(id)
    assert queued is not None
    await here.queue.finish(queued)
    await until(lambda: not here.queue.messages)
    assert sent(peer) == ONCE


@pytest.mark.parametrize("stride", [19, pytest.param(1, marks=pytest.mark.crash)])
@pytest.mark.parametrize("way", ["at the door", "out of the queue"])
async def test_stopped_after_each_step(tmp_path: Path, dns: DnsServer, way: str, stride: int) -> None:
    """Then a start with a disk that works, until nothing is owed."""
    dns.add("far.test", MX=["10 mail.b.test."])
    first = tmp_path / "first"
    first.mkdir()
    async with Peer(SILENT) as silent, Relay(first, dns, silent) as relay:
        assert (await accept(relay, "alice@a.test")).positive
        await use(relay, SCRIPT)
        if way == "out of the queue":
            relay.runner.holds = lambda _: True
            await relay.send(Recipient(parse_address("alice@a.test")), text=BODY, sender="far@far.test", account=None)
            await hold(relay, held=True)
    for steps in range(1, 80, stride):
        folder = tmp_path / str(steps)
        shutil.copytree(first, folder, ignore=shutil.ignore_patterns("control.sock"))
        disk = StoppingDisk(100_000)
        reply: Reply | None = None
        async with Peer(SILENT) as silent, restarted(folder, dns, silent, disk) as relay:
            await relay.inbox()
            disk.left = steps
            try:
                if way == "at the door":
                    reply = await accept(relay, "alice@a.test", body=BODY)
                else:
                    (queued,) = relay.queue.messages.values()
                    await relay.runner._attempt(queued)
            except Stopped:
                pass
            finished = disk.left > 0
            await cut_off(relay, disk)
        async with Peer() as peer, restarted(folder, dns, peer) as relay:
            relay.clock.now += 60.0  # another second than that of the attempt that was cut off
            await hold(relay, held=False)
            await till_done(relay)
            copies = len(await relay.inbox()) - 1
            what = (steps, copies, sent(peer), disk.done)
            assert all(count == 1 for count in sent(peer).values()), what
            if way == "out of the queue" or (reply is not None and reply.positive):
                assert copies == 1, what
                assert sent(peer) == ONCE, what
        if finished:
            assert steps > 5
            return
    raise AssertionError("the operation has no end")


async def hold(relay: Relay, *, held: bool) -> None:
    for queued in list(relay.queue.messages.values()):
        queued.held = held
        if held:
            await relay.queue.save(queued)
        else:
            relay.runner.kick(queued)
