"""NOTIFY (RFC 5465) beside the dialogs: other programs' work, an overflow, and what it must not cost."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mailstack.imap import watching
from mailstack.imap.watching import Watch
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.framing import CommandLine
from mailstack.wire.imap.grammar import parse
from tests.store.mailbox.test_account import append, place
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server


class Told:
    """A session as far as a Watch knows one: what is written is kept."""

    def __init__(self, account: Account) -> None:
        self.mail = account
        self.selected = None
        self.idling = None
        self.utf8 = False
        self.lines: list[bytes] = []
        self.called = 0
        self.connection = SimpleNamespace(work_soon=self._call, drain=self._drain)

    def _call(self) -> None:
        self.called += 1

    async def _drain(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        self.lines.append(data)

    def flush_updates(self, may_expunge: bool) -> None:
        pass


def watch(told: Told, text: bytes) -> Watch:
    command = parse(CommandLine((b"a NOTIFY SET " + text,)))[1]
    assert isinstance(command, c.Notify)
    return Watch(told, command.groups)  # type: ignore[arg-type]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_more_than_is_read_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PENDING_LIMIT", 5)

    async def work() -> None:
        boxes = Mailboxes("mail.a.test")
        account = await boxes.account(place(tmp_path))
        told = Told(account)
        watched = watch(told, b"(personal (MailboxName MessageNew MessageExpunge))")
        for number in range(8):
            await account.create(f"Box{number}")
        await watched.tell()
        assert told.lines == [b"* OK [NOTIFICATIONOVERFLOW] Too much happens: ask again for less\r\n"]
        await append(account, b"abc")
        await account.create("One more")
        assert not watched.has_news
        await boxes.close()

    run(work())


def test_many_mailboxes_are_watched_without_being_opened(tmp_path: Path) -> None:
    async def make() -> None:
        boxes = Mailboxes("mail.a.test")
        account = await boxes.account(place(tmp_path))
        for number in range(30):
            await account.create(f"Box{number:02}")
        await append(account, b"abc", "Box07")
        await boxes.close()

    async def work() -> None:
        boxes = Mailboxes("mail.a.test")
        account = await boxes.account(place(tmp_path))
        told = Told(account)
        watched = watch(told, b"(personal (MessageNew MessageExpunge))")
        await watched.look()
        known = await account.brief(watched.watched())
        assert len(known) == 36
        assert (known["Box07"].messages, known["Box07"].uid_next) == (1, 2)
        opened = {mailbox.name for mailbox in account._mailboxes.values() if mailbox.state is not None}
        assert opened <= {"INBOX", "Box07"}  # INBOX had no head yet
        # What another program puts into one of them is told, and only that one is opened for it.
        folder = tmp_path / "account/Maildir/.Box11/new"
        (folder / "1.other.host").write_bytes(b"Subject: x\n\nx\n")
        os.utime(folder, ns=(1, 1))
        await watched.look()
        opened = {mailbox.name for mailbox in account._mailboxes.values() if mailbox.state is not None} - opened
        assert opened == {"Box11"}
        await watched.tell()
        assert [line[:31] for line in told.lines] == [b"* STATUS Box11 (MESSAGES 1 UIDN"]
        await boxes.close()

    run(make())
    run(work())


def test_other_programs_are_heard(server: Server, account: str) -> None:
    """Folders and messages that another program makes."""
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        one.ok("NOTIFY SET (personal (MailboxName MessageNew MessageExpunge FlagChange))")
        root = server.data / "mail" / "a.test" / account / "Maildir"
        for part in ("tmp", "new", "cur"):
            (root / ".By hand" / part).mkdir(parents=True)
        (root / ".Sent/cur/1.other.host:2,").write_bytes(b"Subject: x\n\nx\n")
        heard = one.ok("NOOP")
        while {response.kind for response in heard} < {"LIST", "STATUS"}:
            heard.append(one.next())
        assert any(response.kind == "LIST" and b"By hand" in str(response).encode() for response in heard)
        assert any(response.kind == "STATUS" and "Sent" in str(response) for response in heard)
