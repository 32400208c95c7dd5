"""Rejects: copies of what was refused, kept for their time and no longer."""

import asyncio
import random
from pathlib import Path

import pytest

from mailstack.app import Data, Surroundings
from mailstack.config import Config
from mailstack.delivery import rejects
from mailstack.delivery.rejects import Rejects
from mailstack.message.address import parse_address
from mailstack.policy.judgement import Finding, Judgement
from mailstack.policy.transaction import Transaction
from mailstack.store.content import Content
from mailstack.store.disk import Disk
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.values import NewMessage
from mailstack.wire.smtp import Reply

DAY = 86400.0
NOW = 1_790_000_000.0
TOLD = Reply(550, "5.7.1", "This looks like unwanted mail")
FOUND = {"alice@a.test": Judgement(13.0, (), True), "gone@a.test": Judgement(13.0, (), True)}


async def count(account: Account) -> int:
    mailbox = await account.open("Rejects")
    try:
        return len(mailbox.uids)
    finally:
        mailbox.release()


def test_copies_are_kept_for_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [NOW]

    async def use() -> None:
        config = Config(hostname="mail.a.test", data_dir=str(tmp_path))
        data = Data(config, Surroundings(Disk(), lambda: now[0], random.Random(1)))
        await data.open()
        await data.directory.add_domain("a.test")
        await data.directory.add_accounts([(parse_address("alice@a.test"), "x", None)], NOW)
        record = await data.directory.account("alice@a.test")
        assert record is not None
        account = await data.mailboxes.account(data.directory.folder(record))
        keeper = Rejects(data.directory, data.mailboxes, data.trace, 7 * DAY, lambda: now[0])

        async def keep(id: str) -> None:
            one = Transaction(id, "192.0.2.1", "x", "ESMTP", None, None, now[0], parse_address("x@far.example"))
            await keeper.keep(one, Content.of(b"Subject: x\r\n\r\nx\r\n"), b"", FOUND, TOLD)

        await keep("a1")
        await account.append("Rejects", NewMessage(Content.of(b"Subject: mine\r\n\r\n"), internal_date=NOW - 90 * DAY))
        now[0] += 4 * DAY
        await keep("a2")
        await keeper.sweep()
        assert await count(account) == 3
        now[0] += 4 * DAY
        await keeper.sweep()
        assert await count(account) == 2  # the newer copy, and what somebody put there
        monkeypatch.setattr(rejects, "MOST", 2)
        await keep("a3")
        assert await count(account) == 2
        keeper.seconds = None
        await keep("a4")
        await keeper.sweep()
        assert await count(account) == 1
        await data.close()

    asyncio.run(use())


def test_why_it_was_refused_is_told_in_words(tmp_path: Path) -> None:
    async def use() -> None:
        data = Data(Config(hostname="mail.a.test", data_dir=str(tmp_path)), Surroundings(Disk(), lambda: NOW, random.Random(1)))
        await data.open()
        await data.directory.add_domain("a.test")
        await data.directory.add_accounts([(parse_address("alice@a.test"), "x", None)], NOW)
        keeper = Rejects(data.directory, data.mailboxes, data.trace, 7 * DAY, lambda: NOW)
        found = Judgement(
            13.0, (Finding("helo-ours", 4.0, "it calls itself by our name"), Finding("good", -1.0, "known")), True
        )
        one = Transaction("a1", "192.0.2.1", "x", "ESMTP", None, None, NOW, parse_address("x@far.example"))
        data.trace.record("a1", "judged", account="alice@a.test", **found.fields())
        await keeper.keep(one, Content.of(b"Subject: x\r\n\r\nx\r\n"), b"", {"alice@a.test": found}, TOLD)
        (row,) = await data.operations()["rejects.list"]({"address": "alice@a.test"})
        assert (row["why"], row["told"]) == ("it calls itself by our name", "550 5.7.1 This looks like unwanted mail")
        await data.close()

    asyncio.run(use())
