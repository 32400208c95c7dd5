"""What the sender is told, when, and when not; and what the clock may do meanwhile."""

import asyncio
import email
import errno
import random
from pathlib import Path

import pytest

from mailstack.delivery.schedule import next_attempt, rounds
from mailstack.message.envelope import Notify, Return
from tests.support.dnsserver import DnsServer
from tests.support.faults import FailingDisk
from tests.support.peer import EXTENSIONS, Peer, Script, until
from tests.support.relay import TEXT, Again, Relay, asked

HOUR = 3600.0
DAY = 24 * HOUR
REFUSES = {"RCPT": "550 5.1.1 nobody"}
BUSY = {"RCPT": "450 4.2.1 busy"}
NO_DSN = tuple(one for one in EXTENSIONS if one != "DSN")


@pytest.mark.parametrize("notify", [None, Notify.FAILURE, Notify.FAILURE | Notify.SUCCESS])
async def test_failures_are_told(relay: Relay, peer: Peer, notify: Notify | None) -> None:
    peer.play(Script(dict(REFUSES)))
    assert await relay.settled(await relay.send(asked(notify, original="rfc822;first@b.test"), envelope_id="env 1")) is None
    (notice,) = await relay.notices()
    message = email.message_from_bytes(notice)
    assert notice.startswith(b"Return-Path: <>\r\n")
    assert message["Auto-Submitted"] == "auto-replied"
    text, status, original = message.get_payload()
    assert "nobody" in text.get_payload()
    about, recipient = status.get_payload()
    assert about["Original-Envelope-Id"] == "env 1"
    assert recipient["Original-Recipient"] == "rfc822;first@b.test"
    assert recipient["Action"] == "failed"
    assert recipient["Status"] == "5.1.1"
    assert "550 5.1.1 nobody" in recipient["Diagnostic-Code"]
    assert original.get_payload()[0].get_payload().startswith("body")


@pytest.mark.parametrize("notify", [Notify.NEVER, Notify.SUCCESS, Notify.DELAY])
async def test_failures_that_nobody_wants_to_hear_of(relay: Relay, peer: Peer, notify: Notify) -> None:
    peer.play(Script(dict(REFUSES)))
    assert await relay.settled(await relay.send(asked(notify))) is None
    assert await relay.inbox() == []
    assert not relay.queue.messages


async def test_only_the_header_comes_back_where_that_was_asked_for(relay: Relay, peer: Peer) -> None:
    peer.play(Script(dict(REFUSES)))
    assert await relay.settled(await relay.send("bob@b.test", ret=Return.HEADERS)) is None
    (notice,) = await relay.notices()
    assert b"text/rfc822-headers" in notice
    assert b"Subject: hello" in notice
    assert b".dot" not in notice


@pytest.mark.parametrize("what", ["failed", "expired", "delayed"])
async def test_the_null_sender_is_never_told(relay: Relay, peer: Peer, what: str) -> None:
    peer.play(Script(dict(REFUSES if what == "failed" else BUSY)))
    id = await relay.send("bob@b.test", sender=None)
    if what != "failed":
        await relay.settled(id)
        for _ in range(3):
            relay.clock.now += DAY / 4 if what == "delayed" else 3 * DAY
            await relay.again(id)
    if what == "delayed":
        assert id in relay.queue.messages
    else:
        await until(lambda: id not in relay.queue.messages)
    assert await relay.inbox() == []
    assert set(relay.queue.messages) <= {id}


@pytest.mark.parametrize(("notify", "told"), [(None, 0), (Notify.SUCCESS, 1), (Notify.NEVER, 0), (Notify.FAILURE, 0)])
async def test_success(relay: Relay, peer: Peer, notify: Notify | None, told: int) -> None:
    peer.play(Script(extensions=NO_DSN))
    assert await relay.settled(await relay.send(asked(notify))) is None
    assert [b"Action: relayed" in notice for notice in await relay.notices(told)] == [True] * told


async def test_a_success_is_told_even_if_the_server_stops_before_the_other_host_has_answered(
    tmp_path: Path, dns: DnsServer, peer: Peer
) -> None:
    gate = asyncio.Event()
    peer.play(Script(extensions=NO_DSN), Script(extensions=NO_DSN, gate=gate))
    async with Relay(tmp_path, dns, peer) as relay:
        id = await relay.send(asked(Notify.SUCCESS), asked(Notify.SUCCESS, "carol@c.test"))
        await until(lambda: sum(state.done for state in relay.queue.messages[id].states) == 1)
        await until(lambda: relay.queue.messages[id].has_row)
    async with Again(tmp_path, dns, peer) as relay:
        gate.set()
        relay.runner.kick(relay.queue.messages[id])
        (notice,) = await relay.notices()
        for name in (b"bob@b.test", b"carol@c.test"):
            assert b"Final-Recipient: rfc822; " + name + b"\r\nAction: relayed" in notice
        await until(lambda: not relay.queue.messages)


async def test_a_success_is_told_even_if_the_disk_was_full(tmp_path: Path, dns: DnsServer) -> None:
    disk = FailingDisk(("create",))
    async with Peer(Script(extensions=NO_DSN)) as peer, Relay(tmp_path, dns, peer, disk=disk) as relay:
        id = await relay.send(asked(Notify.SUCCESS))
        disk.error = errno.ENOSPC
        await until(lambda: bool(peer.messages) and relay.queue.messages[id].next_attempt > relay.clock())
        disk.error = None
        relay.runner.kick(relay.queue.messages[id])
        (notice,) = await relay.notices()
        assert b"Action: relayed" in notice
        await until(lambda: not relay.queue.messages)
        assert len(peer.messages) == 1


@pytest.mark.parametrize(("notify", "told"), [(None, 1), (Notify.DELAY, 1), (Notify.NEVER, 0), (Notify.FAILURE, 0)])
async def test_a_delay_is_told_once(relay: Relay, peer: Peer, notify: Notify | None, told: int) -> None:
    peer.play(Script(dict(BUSY)))
    id = await relay.send(asked(notify))
    await relay.settled(id)
    relay.clock.now += 3.9 * HOUR
    await relay.again(id)
    assert await relay.inbox() == []
    for _ in range(3):
        relay.clock.now += 0.2 * HOUR
        await relay.again(id)
    notices = await relay.notices(told)
    for notice in notices:
        assert b"Action: delayed" in notice
        assert b"Status: 4.2.1" in notice
        assert b"Will-Retry-Until: " in notice
        assert b"You need not send it again" in notice
    assert id in relay.queue.messages


@pytest.mark.parametrize(("notify", "told"), [(None, True), (Notify.FAILURE, True), (Notify.NEVER, False)])
async def test_after_five_days_it_comes_back(relay: Relay, peer: Peer, notify: Notify | None, told: bool) -> None:
    peer.play(Script(dict(BUSY)))
    id = await relay.send(asked(notify))
    await relay.settled(id)
    for _ in range(2):
        relay.clock.now += 2.4 * DAY
        assert await relay.again(id) is not None
    relay.clock.now += 0.3 * DAY
    assert await relay.again(id) is None
    await until(lambda: not relay.queue.messages)
    last = [notice for notice in await relay.inbox() if b"Action: failed" in notice]
    assert len(last) == int(told)
    for notice in last:
        assert b"Status: 5.4.7" in notice
        assert b"450 4.2.1 busy" in notice


async def test_a_notice_that_cannot_be_delivered_ends_there(relay: Relay, peer: Peer) -> None:
    """A sender whose host refuses the notice: no notice about the notice."""
    peer.play(Script(dict(REFUSES)))
    await relay.send("bob@b.test", sender="far@c.test", account=None)
    await until(lambda: sum(command.startswith("MAIL") for command in peer.commands) == 2)
    await until(lambda: not relay.queue.messages)
    assert [command.split(" ")[1] for command in peer.commands if command.startswith("MAIL")] == [
        "FROM:<far@c.test>",
        "FROM:<>",
    ]
    assert "NOTIFY=NEVER" in next(command for command in peer.commands if command.startswith("RCPT TO:<far@c.test>"))


async def test_nothing_foreign_bends_a_notice(relay: Relay, peer: Peer) -> None:
    """Control characters in a host's words, in ENVID and in ORCPT do not leave with it."""
    peer.play(Script({"RCPT": "550 5.1.1 no\rbo\x00dy\x07 \u00e9" + "x" * 3000}))
    id = await relay.send(asked(None, original="rfc822;\x00\r\nBcc: x"), envelope_id="\x00a\r\nb\u00e9")
    assert await relay.settled(id) is None
    (notice,) = await relay.notices()
    assert not set(notice.replace(b"\r\n", b"")) & set(b"\r\n\0\x07")
    assert b"\r\nBcc:" not in notice
    assert max(map(len, notice.split(b"\r\n"))) <= 998
    status = notice[notice.index(b"Reporting-MTA") : notice.index(b"--=_", notice.index(b"Reporting-MTA"))]
    assert status.isascii()


async def test_a_failure_is_told_even_if_the_disk_was_full(tmp_path: Path, dns: DnsServer) -> None:
    disk = FailingDisk(("create",))
    async with Peer(Script(dict(REFUSES))) as peer, Relay(tmp_path, dns, peer, disk=disk) as relay:
        id = await relay.send("bob@b.test")
        disk.error = errno.ENOSPC
        await until(lambda: bool(peer.sessions) and relay.queue.messages[id].next_attempt > relay.clock())
        disk.error = None
        relay.runner.kick(relay.queue.messages[id])
        (notice,) = await relay.notices()
        assert b"nobody" in notice
        await until(lambda: not relay.queue.messages)


# The schedule and the clock ---------------------------------------------------------------------------------------------


def test_the_schedule_has_a_jitter_and_repeats_its_last_pause() -> None:
    retry = [300.0, 900.0, 3600.0]
    randomness = random.Random(3)
    for attempts, pause in ((1, 300.0), (2, 900.0), (3, 3600.0), (4, 3600.0), (99, 3600.0)):
        found = [next_attempt(attempts, 1000.0, retry, randomness) - 1000.0 for _ in range(500)]
        assert min(found) >= 0.9 * pause
        assert max(found) <= 1.1 * pause
        assert max(found) - min(found) > 0.18 * pause
    assert next_attempt(1, 0.0, retry, random.Random(5)) == next_attempt(1, 0.0, retry, random.Random(5))


def test_rounds() -> None:
    assert rounds([300.0, 900.0, 3600.0], 5 * DAY) == 3
    assert rounds([300.0, 900.0, 3600.0], 1500.0) == 2
    assert rounds([300.0], 10.0) == 0


async def test_each_attempt_waits_its_pause(relay: Relay, peer: Peer) -> None:
    peer.play(Script(dict(BUSY)))
    id = await relay.send("bob@b.test")
    queued = await relay.settled(id)
    assert queued is not None
    for pause in (300.0, 900.0, 3600.0, 3600.0):
        assert 0.9 * pause <= queued.next_attempt - relay.clock() <= 1.1 * pause
        attempts = queued.attempts
        relay.clock.now = queued.next_attempt - 1
        relay.runner._wakeup.set()
        await asyncio.sleep(0.05)
        assert queued.attempts == attempts
        relay.clock.now += 2
        relay.runner._wakeup.set()
        await until(lambda attempts=attempts: queued.attempts == attempts + 1 and not queued.busy)


async def test_a_clock_that_jumps_ahead_bounces_nothing(relay: Relay, peer: Peer) -> None:
    peer.play(Script(dict(BUSY)))
    id = await relay.send("bob@b.test")
    await relay.settled(id)
    relay.clock.now += 20 * DAY
    relay.runner._wakeup.set()
    await until(lambda: relay.queue.messages[id].attempts == 2 and not relay.queue.messages[id].busy)
    assert not [notice for notice in await relay.inbox() if b"Action: failed" in notice]


async def test_a_clock_that_is_put_back_makes_nothing_wait_for_days(relay: Relay, peer: Peer) -> None:
    script = Script(dict(BUSY))
    peer.play(script)
    id = await relay.send("bob@b.test")
    queued = await relay.settled(id)
    assert queued is not None
    relay.clock.now -= 3 * DAY
    relay.runner._wakeup.set()
    await until(lambda: queued.next_attempt <= relay.clock() + 4000)
    script.answers.clear()
    relay.clock.now += 4000
    relay.runner._wakeup.set()
    await until(lambda: id not in relay.queue.messages)


async def test_messages_that_wait_are_read_again_at_the_start(tmp_path: Path, dns: DnsServer, peer: Peer) -> None:
    script = Script(dict(BUSY))
    peer.play(script)
    async with Relay(tmp_path, dns, peer) as relay:
        id = await relay.send("bob@b.test", "no@b.test")
        await relay.settled(id)
    async with Again(tmp_path, dns, peer) as relay:
        queued = relay.queue.messages[id]
        assert queued.attempts == 1
        assert queued.states[0].reply == "450 4.2.1 busy"
        script.answers.clear()
        assert await relay.again(id) is None
        assert peer.messages[0].data == TEXT
