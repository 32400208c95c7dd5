"""Whom an account knows: from memory or from the database, the answer is the same."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.policy import acquaintances
from mailstack.policy.acquaintances import Acquaintances
from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users.sending import SendingBook


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[SendingBook]:
    database = Database(tmp_path / "mailstack.sqlite3")
    database.start()
    behind = WriteBehind(database, 0.0)
    yield SendingBook(database, behind)
    await behind.close()
    database.close()


@pytest.mark.parametrize(("circle", "kept"), [(2000, 100_000), (3, 100_000), (2000, 4), (3, 1)])
async def test_memory_never_changes_the_answer(
    book: SendingBook, monkeypatch: pytest.MonkeyPatch, circle: int, kept: int
) -> None:
    monkeypatch.setattr(acquaintances, "CIRCLE", circle)
    monkeypatch.setattr(acquaintances, "KEPT", kept)
    chance = random.Random(5)
    one = Acquaintances(book)
    truth: set[tuple[str, str]] = set()
    for _ in range(150):
        account, person = f"u{chance.randrange(3)}@a.test", f"p{chance.randrange(12)}@far.test"
        assert await one.is_new(account, person) == ((account, person) not in truth)
        if chance.random() < 0.4:
            one.add(account, [person])
            truth.add((account, person))
            if kept > 4:
                assert one.has(account, person)
        if chance.random() < 0.05:
            one = Acquaintances(book)  # a restart
        if chance.random() < 0.02:
            await book.forget(account)
            one.forget(account)
            truth = {pair for pair in truth if pair[0] != account}


async def test_a_whole_circle_is_asked_for_once(book: SendingBook, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Acquaintances(book)
    one.add("a@a.test", ["p@far.test"])
    one = Acquaintances(book)
    assert not await one.is_new("a@a.test", "p@far.test")

    async def never(*_: object) -> set[str]:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(book, "unknown", never)
    monkeypatch.setattr(book, "known", never)
    assert await one.is_new("a@a.test", "q@far.test")
