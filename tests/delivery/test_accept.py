"""The step after the final dot: 250 only when every recipient is in a mailbox or in the queue, flushed."""

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mailstack.delivery.accept import NONE
from mailstack.message.address import parse_address
from mailstack.message.envelope import Notify, Recipient, new_id
from mailstack.policy.judgement import Judgement
from mailstack.policy.routing import Unknown
from mailstack.policy.transaction import Transaction
from mailstack.store.content import Content
from mailstack.store.disk import Disk
from mailstack.store.errors import StoreFailed
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import AccountFolder
from mailstack.store.queue.queue import read_envelope
from mailstack.wire.smtp import MailParameters, Reply
from tests.support.dnsserver import DnsServer
from tests.support.faults import FailingDisk, Stopped, StoppingDisk
from tests.support.peer import Peer, Script, until
from tests.support.relay import Relay

BODY = b"From: far@far.test\r\nSubject: x\r\nMessage-ID: <1@far.test>\r\n\r\nbody\r\n"
TRACE = b"Received: from here\r\n"


async def accept(
    relay: Relay,
    *to: str,
    sender: str | None = "far@far.test",
    notify: Notify | None = None,
    account: str | None = None,
    judgements: Mapping[str, Judgement] = NONE,
    body: bytes = BODY,
) -> Reply:
    """Take a message as a door does."""
    transaction = Transaction(
        id=new_id(relay.clock(), relay.random), peer="127.0.0.1", helo="x", protocol="ESMTP", tls=None,
        account=await relay.data.directory.account(account) if account else None, received=relay.clock(),
        sender=parse_address(sender) if sender else None, parameters=MailParameters(),
    )  # fmt: skip
    for text in to:
        address = parse_address(text)
        transaction.recipients.append((Recipient(address, notify), await relay.router.route(address)))
    return await relay.acceptor.accept(transaction, Content.of(body), TRACE, judgements)


@pytest.fixture
async def here(tmp_path: Path, dns: DnsServer, peer: Peer) -> AsyncIterator[Relay]:
    async with Relay(tmp_path, dns, peer) as relay:
        for name in ("bob", "carol"):
            await relay.add(f"{name}@a.test")
        yield relay


async def test_several_local_recipients(here: Relay) -> None:
    reply = await accept(here, "alice@a.test", "bob@a.test", "bob+tag@a.test")
    assert (reply.code, reply.enhanced) == (250, "2.0.0")
    for name in ("alice", "bob"):
        assert await here.inbox(f"{name}@a.test") == [b"Return-Path: <far@far.test>\r\n" + TRACE + BODY]
    assert await here.inbox("carol@a.test") == []
    assert not here.queue.messages


async def test_local_and_remote(here: Relay, peer: Peer) -> None:
    assert (await accept(here, "alice@a.test", "x@b.test", sender="bob@a.test", account="bob@a.test")).positive
    assert len(await here.inbox()) == 1
    await until(lambda: not here.queue.messages)
    (message,) = peer.messages
    assert message.to == ["x@b.test"]
    assert message.data == TRACE + BODY


async def test_forwarded_mail_leaves_with_a_sender_of_ours_and_its_bounce_finds_back(here: Relay, peer: Peer) -> None:
    await here.data.directory.add_alias("team@a.test", ["bob@a.test", "out@b.test"])
    peer.play(Script({"RCPT TO:<out@": "550 5.1.1 nobody"}))
    assert (await accept(here, "team@a.test")).positive
    assert len(await here.inbox("bob@a.test")) == 1
    # The notice goes to the SRS address, which is ours, and from there to the first sender, whose domain is not here.
    await until(lambda: any("RCPT TO:<out@" in command for command in peer.commands))
    sent = next(command for command in peer.commands if command.startswith("MAIL"))
    srs = sent.split("<")[1].split(">")[0]
    assert srs.startswith("SRS0=")
    assert srs.endswith("=far.test=far@a.test")
    await until(lambda: not here.queue.messages)
    routes = await here.router.route(parse_address(srs))
    assert [str(route.address) for route in routes] == ["far@far.test"]  # type: ignore[union-attr]
    # One that was not made here leads nowhere.
    forged = parse_address(srs.replace("far.test=far", "far.test=fas"))
    assert await here.router.route(forged) == (Unknown(),)


async def test_a_notice_about_forwarded_mail_reaches_the_first_sender(here: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("far.test", MX=["10 mail.b.test."])
    await here.data.directory.add_alias("team@a.test", ["out@b.test"])
    peer.play(Script({"RCPT TO:<out@": "550 5.1.1 nobody"}))
    assert (await accept(here, "team@a.test")).positive
    await until(lambda: len(peer.messages) == 1)
    (notice,) = peer.messages
    assert notice.to == ["far@far.test"]
    assert notice.mail.startswith("MAIL FROM:<>")
    assert b"out@b.test" in notice.data


async def test_forwarded_to_a_sender_here_keeps_its_sender(here: Relay, peer: Peer) -> None:
    await here.data.directory.add_alias("team@a.test", ["out@b.test"])
    assert (await accept(here, "team@a.test", sender="alice@a.test", account="alice@a.test")).positive
    assert (await accept(here, "team@a.test", sender=None)).positive
    await until(lambda: len(peer.messages) == 2)
    assert sorted(message.mail.split(" ")[1] for message in peer.messages) == ["FROM:<>", "FROM:<alice@a.test>"]


async def test_an_accepted_message_is_delivered_over_quota(here: Relay) -> None:
    await here.data.directory.set_quota("bob@a.test", 10)
    assert (await accept(here, "bob@a.test")).positive
    assert len(await here.inbox("bob@a.test")) == 1


@pytest.mark.parametrize("step", ["prepare", "commit"])
@pytest.mark.parametrize("problem", [StoreFailed("broken"), RuntimeError("bug")])
async def test_one_mailbox_that_fails_is_owed_by_the_queue(
    here: Relay, monkeypatch: pytest.MonkeyPatch, step: str, problem: Exception
) -> None:
    if step == "prepare" and isinstance(problem, RuntimeError):
        pytest.skip("before the first commit a bug refuses the whole message")
    record = await here.data.directory.account("bob@a.test")
    assert record is not None
    broken = await here.data.mailboxes.account(here.data.directory.folder(record))
    failing = True

    def failing_at(name: str) -> Callable[..., Awaitable[object]]:
        real = getattr(Account, name)

        async def call(self: Account, *arguments: object) -> object:
            if self is broken and failing:
                raise problem
            return await real(self, *arguments)

        return call

    for name in (step, "deliver"):
        monkeypatch.setattr(Account, name, failing_at(name))
    assert (await accept(here, "alice@a.test", "bob@a.test", "carol@a.test")).positive
    assert len(await here.inbox("alice@a.test")) == 1
    assert len(await here.inbox("carol@a.test")) == 1
    (owed,) = here.queue.messages.values()
    assert [str(one.address) for one in owed.envelope.recipients] == ["bob@a.test"]
    await here.settled(owed.id)
    failing = False
    await here.again(owed.id)
    assert await here.inbox("bob@a.test") == [b"Return-Path: <far@far.test>\r\n" + TRACE + BODY]
    await until(lambda: not here.queue.messages)


@pytest.mark.parametrize("step", ["create", "write", "sync", "rename", "sync_folder", "commit"])
@pytest.mark.parametrize(("error", "code"), [(errno.ENOSPC, 452), (errno.EIO, 451), (errno.EROFS, 451)])
async def test_a_disk_that_fails_refuses_and_goes_on_afterwards(
    tmp_path: Path, dns: DnsServer, peer: Peer, step: str, error: int, code: int
) -> None:
    disk = FailingDisk((step,))
    async with Relay(tmp_path, dns, peer, disk=disk) as relay:
        await relay.inbox()
        disk.error = error
        reply = await accept(relay, "alice@a.test")
        # One that needs no commit of a row may say yes; whoever says no has nothing.
        disk.error = None
        assert reply.code in (250, code)
        assert len(await relay.inbox()) == int(reply.positive)
        if step != "commit":
            assert reply.code == code
        before = len(peer.messages)
        disk.error = error if step != "commit" else None
        if disk.error is not None:
            assert (await accept(relay, "x@b.test")).code == code
        disk.error = None
        assert (await accept(relay, "alice@a.test", "x@b.test")).positive
        await until(lambda: len(peer.messages) == before + 1)


async def test_a_success_notice_that_cannot_be_kept_does_not_take_the_250_back(
    here: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreFailed("full")

    monkeypatch.setattr(here.bouncer, "_submit", fail)
    assert (await accept(here, "alice@a.test", notify=Notify.SUCCESS)).positive
    assert len(await here.inbox()) == 1


async def test_success_of_a_local_delivery_is_told(here: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("far.test", MX=["10 mail.b.test."])
    await here.data.directory.add_alias("both@a.test", ["alice@a.test", "bob@a.test"])
    assert (await accept(here, "both@a.test", notify=Notify.SUCCESS)).positive
    await until(lambda: len(peer.messages) == 1)
    (notice,) = peer.messages
    assert notice.to == ["far@far.test"]
    assert notice.data.count(b"Action: delivered") == 1


@asynccontextmanager
async def restarted(folder: Path, dns: DnsServer, peer: Peer, disk: Disk | None = None) -> AsyncIterator[Relay]:
    """The same data once more, with its accounts."""
    relay = Relay(folder, dns, peer, disk=disk)
    directory = relay.data.directory

    async def nothing(*_: object) -> None:
        """There already."""

    relay.add = nothing  # type: ignore[method-assign]
    directory.add_domain = nothing  # type: ignore[method-assign]
    async with relay:
        yield relay


async def test_stopped_after_each_step(tmp_path: Path, dns: DnsServer) -> None:
    """Two mailboxes here, one recipient elsewhere, one forwarded: nothing acknowledged is lost, nothing is there twice."""
    silent = Script({"": "421 4.3.2 not now"})
    first = tmp_path / "first"
    first.mkdir()
    async with Peer(silent) as peer, Relay(first, dns, peer) as relay:
        await relay.add("bob@a.test")
        await relay.data.directory.add_alias("out@a.test", ["x@c.test"])
        for name in ("alice", "bob"):
            assert (await accept(relay, f"{name}@a.test")).positive
    for steps in range(80):
        folder = tmp_path / str(steps)
        shutil.copytree(first, folder, ignore=shutil.ignore_patterns("control.sock"))
        disk = StoppingDisk(100_000)
        reply: Reply | None = None
        async with Peer(silent) as peer, restarted(folder, dns, peer, disk) as relay:
            for name in ("alice", "bob"):
                await relay.inbox(f"{name}@a.test")
            disk.left = steps
            try:
                reply = await accept(relay, "alice@a.test", "bob@a.test", "y@b.test", "out@a.test")
            except Stopped:
                pass
            finished = disk.left > 0
            await cut_off(relay, disk)
        boxes = [len(await stored(folder, name)) - 1 for name in ("alice", "bob")]
        queued = [read_envelope(path)[0] for path in (folder / "data/queue").iterdir() if not path.name.startswith(".")]
        owed = sorted(str(one.address) for envelope in queued for one in envelope.recipients)
        assert all(count in (0, 1) for count in boxes), (steps, boxes, disk.done)
        assert len(owed) == len(set(owed)), (steps, owed, disk.done)
        if reply is not None and reply.positive:
            assert boxes == [1, 1], (steps, boxes, disk.done)
            assert owed == ["x@c.test", "y@b.test"], (steps, owed, disk.done)
        if finished:
            assert reply is not None
            assert reply.positive
            assert steps > 5
            return
    raise AssertionError("the operation has no end")


async def cut_off(relay: Relay, disk: StoppingDisk) -> None:
    """End it without a further step on the disk, where that has stopped."""
    finished = disk.left > 0
    await relay.runner.stop(0.1)
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task() and "commit" in str(task.get_coro()):
            await asyncio.gather(task, return_exceptions=True)
    await relay.queue._namings.settled()
    disk.left = 100_000 if finished else 0
    try:
        async with asyncio.timeout(None if finished else 0.5):  # what trails behind a commit would try for ever
            await relay.data.close()
    except (Stopped, StoreFailed, TimeoutError):
        relay.data.lock.release()
    relay.data.close = _closed  # type: ignore[method-assign]


async def stored(folder: Path, name: str) -> list[bytes]:
    """What a start finds in a mailbox."""
    boxes = Mailboxes("mail.a.test")
    place = folder / "data/mail/a.test" / name
    account = await boxes.account(AccountFolder(place, place / "index.sqlite3", None))
    mailbox = await account.open("INBOX")
    found = await mailbox.read_many(list(mailbox.uids))
    mailbox.release()
    await boxes.close()
    return list(found.values())


async def _closed() -> None:
    """It is."""
