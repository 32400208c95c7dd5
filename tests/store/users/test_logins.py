"""Who logged in: each way in once, with its first and its last time."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mailstack.message.address import parse_address
from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users import logins
from mailstack.store.users.directory import Directory, DirectoryProblem
from mailstack.store.users.logins import LoginBook

ALICE = "alice@a.test"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    one = Database(tmp_path_factory.mktemp("logins") / "mailstack.sqlite3")
    one.start()
    yield one
    one.close()


@pytest.fixture
async def book(database: Database, clock: Clock) -> AsyncIterator[LoginBook]:
    directory = Directory(database, Path("/nowhere"))
    with contextlib.suppress(DirectoryProblem):
        await directory.add_domain("a.test")
    await directory.add_accounts([(parse_address(ALICE), "{PLAIN}x", None)], 0.0)
    behind = WriteBehind(database, 3600)
    yield LoginBook(database, behind, clock)
    await behind.close()
    for row in await directory.accounts():
        await directory.remove_account(row["address"])


async def test_a_way_in_is_one_row(book: LoginBook, clock: Clock) -> None:
    book.seen(ALICE, "imap", "192.0.2.1", "", "")
    book.seen(ALICE, "imap", "192.0.2.1", "", "Mutt")  # what it says of itself comes later
    book.seen(ALICE, "imap", "192.0.2.1", "phone", "")
    await book.listing(ALICE)
    clock.now += 3600
    book.seen(ALICE, "imap", "192.0.2.1", "", "")
    rows = [(row["device"], row["client"], row["first"], row["last"]) for row in await book.listing(ALICE)]
    assert rows == [("", "Mutt", 1000.0, 4600.0), ("phone", "", 1000.0, 1000.0)]
    assert await book.listing("bob@a.test") == []


async def test_the_oldest_are_forgotten(book: LoginBook, clock: Clock) -> None:
    for number in range(logins.EACH + 5):
        clock.now += 1
        book.seen(ALICE, "imap", f"192.0.2.{number}", "", "")
    rows = await book.listing(ALICE)
    assert len(rows) == logins.EACH
    assert rows[0]["peer"] == f"192.0.2.{logins.EACH + 4}"


async def test_an_account_takes_its_rows_with_it(database: Database, book: LoginBook) -> None:
    book.seen(ALICE, "smtp", "192.0.2.1", "", "")
    assert len(await book.listing(ALICE)) == 1
    await Directory(database, Path("/nowhere")).remove_account(ALICE)
    assert await book.listing(ALICE) == []


async def test_who_is_removed_right_after_a_login_holds_up_nobody(database: Database, book: LoginBook) -> None:
    directory = Directory(database, Path("/nowhere"))
    await directory.add_accounts([(parse_address("bob@a.test"), "{PLAIN}x", None)], 0.0)
    book.seen(ALICE, "smtp", "192.0.2.1", "", "")
    book.seen("bob@a.test", "smtp", "192.0.2.1", "", "")
    await directory.remove_account(ALICE)
    assert [row["account"] for row in await book.recent(10)] == ["bob@a.test"]
