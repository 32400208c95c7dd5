"""bayes.sqlite3 and greylist.sqlite3: what is kept, unlearned, put off and forgotten."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from mailstack.store.errors import StoreFailed
from mailstack.store.greylist import Greylist
from mailstack.store.learned.door import LearnedDoor
from mailstack.store.learned.file import NAME, LearnedFile


@pytest.fixture
def file(tmp_path: Path) -> LearnedFile:
    return LearnedFile(tmp_path / NAME)


def test_what_is_unlearned_leaves_no_trace(file: LearnedFile) -> None:
    assert file.learn("one", [1, 2], True, 1)
    assert not file.learn("one", [1, 2], True, 2)  # once
    assert file.learn("one", [1, 2], False, 2)  # moved back
    assert file.counts([1, 2, 3]).tokens == ((0, 1, 1), (0, 1, 2))
    assert (file.counts([1]).junk, file.counts([1]).good) == (0, 1)
    assert file.learn("one", [1, 2], None, 3)
    assert file.lesson("one") is None
    assert not file.learn("one", [1, 2], None, 3)
    assert file.totals()[:2] == (0, 0)


def test_what_was_never_learned_is_not_unlearned_below_nothing(file: LearnedFile) -> None:
    file.learn("one", [1], True, 1)
    file.learn("one", [2, 3], None, 1)  # other words than then: a later version cuts them differently
    assert all(junk >= 0 and good >= 0 for junk, good, _ in file.counts([1, 2, 3]).tokens)


def test_a_glance_tells_of_words_and_senders(file: LearnedFile) -> None:
    assert file.glance(["domain:far.test"]) == (0, 0, {})
    for number in range(3):
        file.learn(str(number), [1], number == 0, 1)
    file.put_senders([("domain:far.test", 2.0, 0.5, 1.0, 9.0), ("domain:other.test", 1.0, 0.0, 0.0, 9.0)], 0.0)
    names = ["domain:far.test", "domain:none.test"]
    assert file.glance(names) == (1, 2, {"domain:far.test": (2.0, 0.5, 1.0, 9.0)})
    assert (*file.learned(), file.senders(names)) == file.glance(names)
    assert file.glance([]) == (1, 2, {})


def test_old_tokens_go_first(file: LearnedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.store.learned.file.TOKENS_KEPT", 150)
    monkeypatch.setattr("mailstack.store.learned.file.TOKENS_AFTER", 100)
    for number in range(100):
        file.learn(str(number), [1, 1000 + 2 * number, 1001 + 2 * number], True, number)
    assert file.totals() == (100, 0, 100)
    left = {key for _, _, key in file.counts([1, 1000, 1198, 1199]).tokens}
    assert left == {1, 1198, 1199}


def test_lessons_wait_in_order_and_survive(tmp_path: Path) -> None:
    one = LearnedFile(tmp_path / NAME)
    one.put_off("Junk", 7, [3, 4], 1)
    one.close()
    again = LearnedFile(tmp_path / NAME)
    waiting = again.pending(10)
    assert [(lesson.mailbox, lesson.validity, lesson.uid, lesson.lesson) for lesson in waiting] == [
        ("Junk", 7, 3, 1),
        ("Junk", 7, 4, 1),
    ]
    again.done([waiting[0].number])
    assert again.pending(10) == waiting[1:]
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database" * 1000)

    async def use() -> None:
        door = LearnedDoor()
        assert await door.run(tmp_path, LearnedFile.totals) == (0, 0, 0)
        await door.close()

    asyncio.run(use())
    assert (tmp_path / f"{NAME}.damaged").read_bytes().startswith(b"no database")


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / NAME) as connection:
        connection.execute("PRAGMA user_version=99")

    async def use() -> None:
        door = LearnedDoor()
        with pytest.raises(StoreFailed, match="newer version"):
            await door.run(tmp_path, LearnedFile.totals)
        assert await door.hop(door.look, [tmp_path], LearnedFile.totals) == [None]
        await door.close()

    asyncio.run(use())


def test_an_account_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    async def use() -> None:
        door = LearnedDoor()
        with pytest.raises(StoreFailed):
            await door.run(tmp_path / "gone", LearnedFile.totals)
        await door.run(tmp_path, LearnedFile.learn, "a", [1], True, 1)
        for path in tmp_path.iterdir():
            path.unlink()
        assert await door.run(tmp_path, LearnedFile.totals) == (0, 0, 0)
        await door.close()

    asyncio.run(use())


NET, WHO, TO = "192.0.2.0/24", "carol@far.example", ["alice@a.test"]


def test_who_comes_again_after_a_while_is_welcome_for_long(tmp_path: Path) -> None:
    greylist = Greylist(tmp_path / "greylist.sqlite3")
    assert greylist.ask(NET, WHO, TO, 300, 1000.0).seconds == 300
    assert greylist.ask(NET, WHO, TO, 300, 1100.0).seconds == 200
    assert greylist.ask(NET, WHO, ["bob@a.test"], 300, 1200.0).seconds == 300
    greylist.close()
    again = Greylist(tmp_path / "greylist.sqlite3")
    assert again.ask(NET, WHO, TO, 300, 1300.0).seconds == 0
    assert again.ask(NET, "dan@far.example", ["bob@a.test"], 300, 1301.0).seconds == 0  # his host and his domain are known
    assert again.ask("198.51.100.0/24", WHO, TO, 300, 1302.0).seconds == 300
    assert again.ask(NET, WHO, TO, 300, 1300.0 + 35 * 86400).seconds == 0
    again.close()


def test_who_never_comes_again_is_forgotten(tmp_path: Path) -> None:
    greylist = Greylist(tmp_path / "greylist.sqlite3")
    greylist.ask(NET, WHO, TO, 300, 1000.0)
    assert greylist.ask(NET, WHO, TO, 300, 1000.0 + 4 * 86400).seconds == 300
    greylist.close()


def test_one_known_recipient_is_enough(tmp_path: Path) -> None:
    greylist = Greylist(tmp_path / "greylist.sqlite3")
    greylist.ask(NET, WHO, TO, 300, 1000.0)
    assert greylist.ask(NET, WHO, ["bob@a.test", *TO], 300, 1400.0).seconds == 0
    greylist.close()


def test_made_up_senders_do_not_fill_the_disk(file: LearnedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.store.learned.file.SENDERS_KEPT", 100)
    file.put_senders([("address:friend@far.test", 0.0, 0.0, 1.0, 1.0)], 0.0)
    for some in range(20):
        rows = [(f"domain:{some * 50 + number}.test", 1.0, 0.0, 0.0, 1000.0 + some) for number in range(50)]
        file.put_senders(rows, 500.0)
    assert file.senders(["address:friend@far.test"])
    assert file.senders(["domain:999.test"])
    assert not file.senders(["domain:1.test"])
    assert len(file.senders([f"domain:{number}.test" for number in range(1000)])) <= 200
