"""A directory with people, aliases and roles, on a loop of its own, for a whole file of tests."""

import asyncio
import random
import shutil
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mailstack.app import Data
from mailstack.config import Config
from mailstack.message.address import parse_address
from mailstack.message.envelope import Recipient
from mailstack.policy.inbound import InboundPolicy, Recipients
from mailstack.policy.routing import Route, Router
from mailstack.policy.submission import SubmissionPolicy
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Verdict
from mailstack.store.content import Content
from mailstack.store.database import Database
from mailstack.wire.smtp import MailParameters
from tests.support.relay import SECRET, FakeClock

T = TypeVar("T")
PEOPLE = ("alice@a.test", "bob@a.test", "carol@a.test", "off@a.test", "full@a.test", "dan@c.test")
ALIASES = {
    "sales@a.test": ["alice@a.test"],
    "tagged@a.test": ["alice+sales@a.test"],
    "chain@a.test": ["sales@a.test"],
    "both@a.test": ["alice@a.test", "bob@a.test"],
    "out@a.test": ["x@far.test"],
    "mixed@a.test": ["bob@a.test", "x@far.test", "out@a.test"],
    "ring@a.test": ["gnir@a.test"],
    "gnir@a.test": ["ring@a.test"],
    "self@a.test": ["self@a.test", "bob@a.test"],
    "gone@a.test": ["nobody@a.test"],
    "asleep@a.test": ["off@a.test"],
    "half@a.test": ["off@a.test", "bob@a.test"],
    "abuse@c.test": ["ring@a.test"],
    "@c.test": ["carol@a.test"],
}


class World:
    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.data = Data(Config(hostname="mail.a.test", data_dir=str(folder / "data")))
        self.run(self._open())

    async def _open(self) -> None:
        await self.data.open()
        directory = self.data.directory
        for domain in ("a.test", "c.test"):
            await directory.add_domain(domain)
        await directory.add_accounts([(parse_address(one), "{PLAIN}x", None) for one in PEOPLE], 0.0)
        await directory.set_disabled("off@a.test", True)
        await directory.set_quota("full@a.test", 1000)
        for source, targets in ALIASES.items():
            await directory.add_alias(source, targets)
        self.router = Router(directory, "bob@a.test", SECRET, self.clock)
        self.recipients = Recipients(self.router, directory, self.data.mailboxes, 5)
        self.inbound = InboundPolicy(self.recipients)
        self.submission = SubmissionPolicy(self.recipients, directory, "mail.a.test", self.clock, random.Random(1))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def close(self) -> None:
        self.run(self.data.close())
        self.runner.close()

    def route(self, address: str) -> tuple[Route, ...]:
        return self.run(self.router.route(parse_address(address)))

    def transaction(
        self, account: str | None = None, sender: str | None = "s@far.test", size: int | None = None
    ) -> Transaction:
        record = self.run(self.data.directory.account(account)) if account else None
        return Transaction(
            id="0" * 16, peer="192.0.2.1", helo="x", protocol="ESMTP", tls=None, account=record, received=0.0,
            sender=parse_address(sender) if sender else None, parameters=MailParameters(size=size),
        )  # fmt: skip

    def judge(self, address: str, account: str | None = None, size: int | None = None, have: int = 0) -> Verdict:
        transaction = self.transaction(account, size=size)
        transaction.recipients = [(Recipient(parse_address("bob@a.test")), ())] * have
        return self.run(self.inbound.recipient(transaction, parse_address(address)))[0]

    def submit(self, header: str | bytes, account: str = "alice@a.test") -> Verdict:
        data = (header.encode() if isinstance(header, str) else header) + b"\r\n\r\nbody\r\n"
        return self.run(self.submission.body(self.transaction(account), Content.of(data)))


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user database as a first start makes it: to be copied, which takes less time than its migrations."""
    path = tmp_path_factory.mktemp("migrated") / "mailstack.sqlite3"
    database = Database(path)
    database.start()
    database.close()
    return path


@pytest.fixture
def folder(migrated: Path, tmp_path: Path) -> Path:
    """A folder with a user database that holds nothing."""
    shutil.copy(migrated, tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    one = World(tmp_path_factory.mktemp("world"))
    yield one
    one.close()
