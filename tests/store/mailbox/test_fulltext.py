"""Full-text search: exact against a simple model, whatever the index knows, whatever happens to it."""

import asyncio
import os
import shutil
import signal
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailstack.message.collation import casemap
from mailstack.message.text import Searchable, read_message
from mailstack.store.fulltext import indexing
from mailstack.store.fulltext.database import Database, Kept
from mailstack.store.fulltext.finding import FEW, Found, find
from mailstack.store.fulltext.indexing import Indexer, IndexSettings
from mailstack.store.fulltext.matching import meets
from mailstack.store.fulltext.process import HelperDied
from mailstack.store.fulltext.questions import (
    Add,
    Answer,
    AnyCriterion,
    Attachments,
    Comparison,
    InBody,
    InField,
    InText,
    Question,
    Scan,
    Sent,
)
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.searching import SearchSettings
from tests.store.mailbox.test_account import append, place
from tests.support.corpus import mails

SETTINGS = IndexSettings(delay=0.01)
COUNT = FEW + 60


def mail(number: int, word: str = "") -> bytes:
    return (
        f"From: Person {number % 7} <p{number % 7}@a.test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe_{number}?=\r\n"
        f"Date: {number % 28 + 1} Jan 2024 12:00:00 +0000\r\nX-Odd: odd{number % 3}\r\n\r\n"
        f"line {number} über 漢字 {word}\r\n"
    ).encode()


CRITERIA: list[AnyCriterion] = [
    InText(casemap("grüße 1")),
    InText(casemap("PERSON 3")),
    InText("NOWHERE"),
    InText(""),
    InText("E"),
    InBody("GR"),
    InBody(casemap("über 漢字")),
    InBody("漢字"),
    InBody(casemap("zebra")),
    InBody(casemap("line 12")),
    InField("FROM", "P5@"),
    InField("SUBJECT", casemap("üß")),
    InField("BCC", ""),
    InField("X-ODD", "ODD2"),
    InField("X-ODD", ""),
    InField("X-NONE", ""),
    Sent(Comparison.BEFORE, 19730),
    Sent(Comparison.ON, 19730),
    Sent(Comparison.SINCE, 19730),
]


async def check(mailbox: Mailbox) -> None:
    """What must be found: every message read, nothing kept."""
    texts = {uid: read_message(data) for uid, data in (await mailbox.read_many(mailbox.uids)).items()}
    for criterion in CRITERIA:
        wanted = {uid for uid, text in texts.items() if meets(text, criterion)}
        assert list(await mailbox.find(criterion, mailbox.uids)) == sorted(wanted), criterion


def known(mailbox: Mailbox) -> list[int]:
    """What the index has, read by another connection."""
    where = mailbox.text_place
    database = Database(where.database, writes=False)
    try:
        return list(database.uids(where.mailbox))
    finally:
        database.close()


class Place:
    """A server's store with one account."""

    def __init__(self, path: Path, index: IndexSettings | None) -> None:
        self.path = path
        self.boxes = Mailboxes("mail.a.test", search=SearchSettings(index))

    async def account(self) -> Account:
        return await self.boxes.account(place(self.path))

    @property
    def indexer(self) -> Indexer:
        found = self.boxes._surroundings.searching.indexer
        assert found is not None
        return found

    async def filled(self, count: int = COUNT) -> Mailbox:
        account = await self.account()
        mailbox = await account.open("INBOX")
        for number in range(count):
            await append(account, mail(number, "zebra" if number % 5 == 0 else ""))
        return mailbox


Start = Callable[..., Awaitable[Place]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    places: list[Place] = []

    async def make(index: IndexSettings | None = SETTINGS) -> Place:
        places.append(Place(tmp_path, index))
        return places[-1]

    yield make
    for one in places:
        await one.boxes.close()


async def test_an_index_and_the_messages_themselves_say_the_same(start: Start) -> None:
    place = await start()
    mailbox = await place.filled()
    await place.indexer.settled()
    assert known(mailbox) == list(mailbox.uids)
    await check(mailbox)
    some = list(mailbox.uids)[10:90:2]
    found = await mailbox.find(InBody("ZEBRA"), some)
    assert list(found) == [uid for uid in some if uid % 5 == 1]


async def test_a_search_is_right_while_the_index_lags(start: Start) -> None:
    place = await start(IndexSettings(delay=3600.0))
    mailbox = await place.filled()
    await check(mailbox)
    assert not Path(mailbox.text_place.database).exists()


async def test_without_an_index_the_mails_are_read(start: Start) -> None:
    place = await start(None)
    await check(await place.filled())


async def test_what_came_and_went_is_taken_over(start: Start) -> None:
    place = await start()
    mailbox = await place.filled()
    await place.indexer.settled()
    account = await place.account()
    await mailbox.expunge(list(mailbox.uids)[3:40], force=True)
    await append(account, mail(5000, "zebra"))
    await check(mailbox)
    await place.indexer.settled()
    assert known(mailbox) == list(mailbox.uids)
    await check(mailbox)
    where = mailbox.text_place
    database = Database(where.database, writes=False)
    kept = database.connection.execute("SELECT count(*) FROM text").fetchone()[0]
    trigrams = database.connection.execute("SELECT rowid FROM trigram WHERE trigram MATCH '\"LIN\"'").fetchall()
    database.close()
    assert kept == len(trigrams) == len(mailbox.uids)


async def test_a_mailbox_that_is_deleted_is_forgotten(start: Start) -> None:
    place = await start()
    account = await place.account()
    await account.create("Work")
    work = await account.open("Work")
    for number in range(3):
        await append(account, mail(number), "Work")
    await place.indexer.settled()
    assert known(work)
    work.release()
    await account.delete("Work")
    await place.indexer.settled()
    assert known(work) == []


async def test_a_database_may_be_deleted_while_it_is_used(start: Start) -> None:
    place = await start()
    mailbox = await place.filled()
    await place.indexer.settled()
    await check(mailbox)
    Path(mailbox.text_place.database).unlink()
    await check(mailbox)
    await append(await place.account(), mail(6000, "zebra"))
    await place.indexer.settled()
    assert known(mailbox) == list(mailbox.uids)
    await check(mailbox)


@pytest.mark.parametrize("damage", [b"nonsense" * 1000, b"", b"SQLite format 3\0" + b"\0" * 5000])
async def test_a_damaged_database_is_made_anew(start: Start, damage: bytes) -> None:
    place = await start()
    mailbox = await place.filled()
    await place.indexer.settled()
    await place.boxes.close()
    database = Path(mailbox.text_place.database)
    for end in ("-wal", "-shm"):
        Path(f"{database}{end}").unlink(missing_ok=True)
    database.write_bytes(damage)
    again = await start()
    mailbox = await (await again.account()).open("INBOX")
    await check(mailbox)
    await again.indexer.settled()
    await append(await again.account(), mail(7000))
    await again.indexer.settled()
    assert known(mailbox) == list(mailbox.uids)
    await check(mailbox)


async def test_damage_in_the_middle_of_a_database_changes_no_answer(start: Start) -> None:
    place = await start()
    mailbox = await place.filled()
    await place.indexer.settled()
    await place.boxes.close()
    database = Path(mailbox.text_place.database)
    data = bytearray(database.read_bytes())
    for first in range(8192, len(data) - 4096, 12288):
        data[first : first + 2048] = os.urandom(2048)
    database.write_bytes(data)
    again = await start()
    mailbox = await (await again.account()).open("INBOX")
    await check(mailbox)
    await again.indexer.settled()


async def test_a_helper_that_is_killed_is_started_again(start: Start) -> None:
    place = await start()
    mailbox = await place.filled()
    await place.indexer.settled()
    searching = place.boxes._surroundings.searching
    assert searching._helper is not None
    await check(mailbox)
    for helper in (place.indexer._helper, searching._helper):
        assert helper.pid is not None
        os.kill(helper.pid, signal.SIGKILL)
    await check(mailbox)
    await append(await place.account(), mail(8000))
    await place.indexer.settled()
    await check(mailbox)
    await append(await place.account(), mail(8001))
    await place.indexer.settled()
    assert known(mailbox) == list(mailbox.uids)


async def test_an_index_that_lags_since_a_crash_catches_up_when_the_mailbox_is_opened(start: Start) -> None:
    place = await start(IndexSettings(delay=3600.0))
    mailbox = await place.filled()
    mailbox.release()
    await place.boxes.close()
    again = await start()
    mailbox = await (await again.account()).open("INBOX")
    await again.indexer.settled()
    assert known(mailbox) == list(mailbox.uids)


async def test_uids_that_are_given_again_after_a_restore_are_not_found_as_what_they_were(start: Start, tmp_path: Path) -> None:
    """The Maildir of yesterday, the index of today."""
    place = await start()
    mailbox = await place.filled(FEW + 5)
    await place.boxes.close()
    account = tmp_path / "account"
    shutil.copytree(account / "Maildir", tmp_path / "yesterday")
    again = await start()
    mailbox = await (await again.account()).open("INBOX")
    for number in range(1100):  # more UIDs than are set aside at once
        await append(await again.account(), mail(number, "today"))
    await again.indexer.settled()
    used = set(mailbox.uids)
    await again.boxes.close()
    shutil.rmtree(account / "Maildir")
    shutil.copytree(tmp_path / "yesterday", account / "Maildir")
    for index in account.glob("index.sqlite3*"):
        index.unlink()
    last = await start(IndexSettings(delay=3600.0))
    mailbox = await (await last.account()).open("INBOX")
    for number in range(50):
        # Of another second than what had its UID: a restore takes longer than that.
        await append(await last.account(), mail(number, "restored"), internal_date=1_700_000_000.0)
    assert used & set(mailbox.uids[-50:])
    await check(mailbox)
    assert len(await mailbox.find(InBody("RESTORED"), mailbox.uids)) == 50
    assert not await mailbox.find(InBody("TODAY"), mailbox.uids)
    await last.boxes.close()
    final = await start()
    mailbox = await (await final.account()).open("INBOX")
    await final.indexer.settled()
    assert known(mailbox) == list(mailbox.uids)
    await check(mailbox)


async def test_a_large_mailbox_keeps_no_other_waiting(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "MESSAGES_AT_ONCE", 8)
    monkeypatch.setattr(indexing, "PIECES_A_TURN", 2)
    place = await start(IndexSettings(delay=3600.0))
    await place.filled(80)
    account = await place.account()
    await account.create("Work")
    await append(account, mail(1), "Work")
    await place.boxes.close()
    again = await start(IndexSettings(delay=1.0))
    order: list[str] = []
    ask = again.indexer._helper.ask

    async def noted(question: Question) -> Answer:
        if isinstance(question, Add):
            order.append(question.mailbox)
        return await ask(question)

    monkeypatch.setattr(again.indexer._helper, "ask", noted)
    account = await again.account()
    large, small = await account.open("INBOX"), await account.open("Work")
    await again.indexer.settled()
    assert known(large) == list(large.uids)
    assert known(small) == list(small.uids)
    assert order.index(small.text_place.mailbox) == 2
    assert len(order) == 11


async def test_no_helper_where_nothing_is_to_be_done(start: Start) -> None:
    place = await start()
    account = await place.account()
    (await account.open("INBOX")).release()
    (await account.open("Sent")).release()
    await place.indexer.settled()
    assert place.indexer._helper.pid is None


async def test_attachments_are_read_by_a_program(start: Start, tmp_path: Path) -> None:
    program = tmp_path / "text"
    program.write_text('#!/bin/sh\n[ "$1" = application/x-test ] || exit 1\nprintf "name %s: " "$2"; tr a-z n-za-m\n')
    program.chmod(0o700)
    place = await start(IndexSettings(0.01, Attachments([str(program)], 10.0, 100)))
    account = await place.account()
    mailbox = await account.open("INBOX")
    head = 'MIME-Version: 1.0\r\nContent-Type: {}; name="{}"\r\n\r\n{}\r\n'
    for number in range(FEW):
        await append(account, head.format("application/x-test", f"n{number}", "uryyb").encode())
    await append(account, head.format("application/x-other", "other", "uryyb").encode())
    await append(account, head.format("application/x-test", "large", "uryyb" * 30).encode())
    await place.indexer.settled()
    assert len(await mailbox.find(InBody("HELLO"), mailbox.uids)) == FEW
    assert len(await mailbox.find(InBody("NAME N7: HELLO"), mailbox.uids)) == 1


@pytest.mark.parametrize("script", ["sleep 60 & sleep 60", "yes", "exit 1", "kill -9 $$", "cat /dev/zero"])
async def test_a_program_that_misbehaves_costs_the_text_of_its_attachment(start: Start, tmp_path: Path, script: str) -> None:
    program = tmp_path / "text"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    place = await start(IndexSettings(0.01, Attachments([str(program)], 0.5, 1000)))
    account = await place.account()
    mailbox = await account.open("INBOX")
    await append(account, b"Subject: seen\r\nContent-Type: application/x-test\r\n\r\ncontent")
    await place.indexer.settled()
    assert known(mailbox) == list(mailbox.uids)


async def test_what_is_written_by_others_in_a_helper_is_no_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link in place of a mail: it is skipped, wherever that is said, and asked for no end of times."""
    monkeypatch.setattr(indexing, "MESSAGES_AT_ONCE", 1)
    monkeypatch.setattr(indexing, "PIECES_A_TURN", 1)
    place = await start()
    mailbox = await place.filled(3)
    uid = mailbox.uids[1]
    path = mailbox.maildir.root / os.fsdecode(mailbox.files([uid])[0].path)
    path.unlink()
    path.symlink_to("/etc/passwd")
    await place.indexer.settled()
    assert set(known(mailbox)) <= set(mailbox.uids)
    assert uid not in await mailbox.find(InBody("ROOT"), mailbox.uids)


async def test_a_message_that_ends_helpers_ends_nothing_else(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    place = await start(IndexSettings(delay=3600.0))
    mailbox = await place.filled()
    searching = place.boxes._surroundings.searching
    assert searching._helper is not None
    ask = searching._helper.ask

    async def deadly(question: Question) -> Answer:
        if isinstance(question, Scan) and any(file.uid == 7 for file in question.files):
            raise HelperDied("it ended")
        return await ask(question)

    monkeypatch.setattr(searching._helper, "ask", deadly)
    assert list(await mailbox.find(InBody("LINE"), mailbox.uids)) == [uid for uid in mailbox.uids if uid != 7]


async def test_a_message_that_ends_the_helper_is_left_out_of_the_index(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    place = await start()
    ask = place.indexer._helper.ask

    async def deadly(question: Question) -> Answer:
        if isinstance(question, Add) and any(one.file.uid == 7 for one in question.messages):
            raise HelperDied("it ended")
        return await ask(question)

    monkeypatch.setattr(place.indexer._helper, "ask", deadly)
    mailbox = await place.filled(20)
    await place.indexer.settled()
    assert known(mailbox) == [uid for uid in mailbox.uids if uid != 7]
    await check(mailbox)


async def test_hostile_mails_are_found_like_others(start: Start) -> None:
    place = await start()
    account = await place.account()
    mailbox = await account.open("INBOX")
    await append(account, b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n" * 20_000)
    await append(account, b"X: " + b"x" * 3_000_000 + b"\r\n\r\n")
    await append(account, b"\0" * 10_000 + b"zebra")
    await append(account, b"zebra\x01zebra\0" * 1000)
    for _, data in mails():
        if data:
            await append(account, data)
    await place.indexer.settled()
    assert known(mailbox) == list(mailbox.uids)
    await check(mailbox)


# The index alone -----------------------------------------------------------------------------------------------------

LETTERS = st.text(st.sampled_from("abAB \"'\0\x01ßüÜ漢字é\u0301ﬁ\n"), max_size=12)
TEXTS = st.lists(st.tuples(LETTERS, LETTERS), min_size=1, max_size=6)


def made(subject: str, body: str) -> Searchable:
    return Searchable((("SUBJECT", casemap(subject)), ("X-ODD", casemap(body))), casemap(subject), casemap(body), None)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    folder = tmp_path_factory.mktemp("fulltext")
    count = iter(range(1_000_000))
    return lambda: str(folder / f"{next(count)}.sqlite3")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS, st.lists(LETTERS, min_size=1, max_size=6), st.sets(st.integers(0, 5)))
def test_what_an_index_finds_is_what_texts_hold(
    paths: Callable[[], str], texts: list[tuple[str, str]], needles: list[str], removed: set[int]
) -> None:
    # Many of a kind, so that the trigrams are asked.
    messages = {number * 3 + 1: made(*texts[number % len(texts)]) for number in range(FEW * 2)}
    database = Database(paths(), writes=True)
    database.add("m", {uid: Kept(text) for uid, text in messages.items()})
    gone = [uid for uid in messages if uid % 7 in removed]
    database.remove("m", gone)
    left = {uid: text for uid, text in messages.items() if uid not in gone}
    unknown = max(messages) + 1
    among = array("I", [*left, unknown])
    try:
        for needle in map(casemap, needles):
            for criterion in (InText(needle), InBody(needle), InField("SUBJECT", needle), InField("X-ODD", needle)):
                found = Found()
                for _ in find(database, "m", criterion, among, found):
                    pass
                assert sorted(found.uids) == [uid for uid, text in left.items() if meets(text, criterion)], criterion
                assert found.unknown == [unknown]
    finally:
        database.close()


async def test_two_processes_may_use_it_at_once(start: Start) -> None:
    place = await start()
    mailbox = await place.filled(40)
    account = await place.account()

    async def fill() -> None:
        for number in range(100):
            await append(account, mail(number, "zebra"))

    filling = asyncio.create_task(fill())
    while not filling.done():
        uids = list(mailbox.uids)
        found = set(await mailbox.find(InBody("ZEBRA"), uids))
        assert found >= {uid for uid in uids if uid > 40}
    await filling
    await place.indexer.settled()
    await check(mailbox)


async def test_texts_that_can_not_be_read_are_read_from_the_mails_and_made_anew(start: Start) -> None:
    place = await start()
    mailbox = await place.filled()
    await place.indexer.settled()
    database = Database(mailbox.text_place.database, writes=True)
    database.connection.execute("UPDATE text SET body='nonsense'")
    database.close()
    await check(mailbox)
    await place.indexer.settled()
    await check(mailbox)
    database = Database(mailbox.text_place.database, writes=False)
    assert database.connection.execute("SELECT count(*) FROM text WHERE body='nonsense'").fetchone() == (0,)
    database.close()
    assert known(mailbox) == list(mailbox.uids)


@pytest.mark.parametrize("index", [SETTINGS, None])
async def test_repair_makes_the_index_anew(start: Start, index: IndexSettings | None) -> None:
    place = await start()
    mailbox = await place.filled(5)
    await place.indexer.settled()
    await place.boxes.close()
    database = Path(mailbox.text_place.database)
    before = database.stat().st_ino
    again = await start(index)
    os.link(database, database.with_name("kept"))  # so that its number is not given again
    await (await again.account()).repair()
    if index is None:
        assert not database.exists()
    else:
        await again.indexer.settled()
        assert database.stat().st_ino != before
        assert known(mailbox) == list(mailbox.uids)
