"""What became of messages: found by id, Message-ID and address; old ones go."""

import ast
import re
import sqlite3
from pathlib import Path

from mailstack.store.trace import KEPT_SECONDS, Trace

ROOT = Path(__file__).parents[2]


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def names(trace: Trace, text: str) -> list[str]:
    return [event["event"] for event in await trace.find(text)]


async def test_found_by_id_message_id_and_address(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace.sqlite3")
    trace.record("0001", "accepted", sender="S@far.test", to=["Alice@a.test", "bob@a.test"], message_id="<one@far.test>")
    trace.record("0001", "delivered", to="alice@a.test")
    trace.record("0002", "accepted", sender=None, to=["alice@a.test"], message_id="<two@far.test>")
    for text in ("0001", "<one@far.test>", "one@far.test", "s@far.test", " BOB@a.test"):
        assert await names(trace, text) == ["accepted", "delivered"], text
    assert await names(trace, "alice@a.test") == ["accepted", "delivered", "accepted"]
    assert await names(trace, "nobody@a.test") == []
    await trace.close()


async def test_a_part_that_was_queued_under_another_id_belongs_to_the_story(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace.sqlite3")
    trace.record("0001", "accepted", to=["list@a.test"])
    trace.record("0001", "queued", to=["x@far.test"], queued_as="0002")
    trace.record("0002", "delivered", to="x@far.test")
    assert await names(trace, "0001") == ["accepted", "queued", "delivered"]
    assert await names(trace, "0002") == ["accepted", "queued", "delivered"]
    await trace.close()


async def test_the_first_fetch_is_written_once_even_after_a_restart(tmp_path: Path) -> None:
    for _ in range(2):
        trace = Trace(tmp_path / "trace.sqlite3")
        trace.first_fetch("0001.0", "alice@a.test")
        assert trace.first_fetch("0001.0", "alice@a.test") is None
        assert trace.first_fetch("0001.1", "bob@a.test") == "0001"
        # An APPEND was never accepted from anywhere.
        assert trace.first_fetch("0000019b2f3c4d5e6f", "bob@a.test") is None
        await trace.close()
    trace = Trace(tmp_path / "trace.sqlite3")
    assert [event["account"] for event in await trace.find("0001")] == ["alice@a.test", "bob@a.test"]
    await trace.close()


async def test_what_is_older_than_a_month_goes_with_its_words(tmp_path: Path) -> None:
    clock = Clock()
    trace = Trace(tmp_path / "trace.sqlite3", clock)
    trace.record("0001", "accepted", to=["alice@a.test"])
    assert await names(trace, "alice@a.test") == ["accepted"]
    clock.now += KEPT_SECONDS + 1
    trace.record("0002", "accepted", to=["alice@a.test"])
    assert [event["id"] for event in await trace.find("alice@a.test")] == ["0002"]
    assert await names(trace, "0001") == []
    await trace.close()
    import sqlite3

    connection = sqlite3.connect(tmp_path / "trace.sqlite3")
    assert connection.execute("SELECT id FROM word").fetchall() == [("0002",)]
    connection.close()


async def test_found_by_words_of_the_subject_and_of_the_sender_the_newest_first(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace.sqlite3")
    trace.record(
        "0001", "arrived", sender="carol@far.test", to=["alice@a.test"], subject=b"=?utf-8?q?Invoice_=C3=9Cber?=\r\n  17"
    )
    trace.record("0002", "arrived", sender="dave@far.test", to=["alice@a.test", "bob@a.test"], subject=b"invoices of May")
    trace.record("0003", "refused", sender="eve@evil.test", to="alice@a.test")
    trace.record("0004", "arrived", sender=None, to=["alice@a.test"], subject="\u4f60\u597d\u4e16\u754c".encode())
    for address, words, wanted in (
        ("Alice@a.test", "invoice", ["0002", "0001"]),
        ("alice@a.test", "INVOICE \u00fcBER", ["0001"]),
        ("alice@a.test", "carol invoice", ["0001"]),
        ("alice@a.test", "evil", ["0003"]),
        ("alice@a.test", "\u597d\u4e16", ["0004"]),
        ("alice@a.test", "", ["0004", "0003", "0002", "0001"]),
        ("bob@a.test", "", ["0002"]),
        ("dave@far.test", "may", ["0002"]),
        ("alice@a.test", "nothing", []),
        ("alice@a.test", "' OR 1=1 --", []),
    ):
        assert await trace.candidates(address, words) == wanted, words
    assert await trace.candidates("alice@a.test", "", limit=1) == ["0004"]
    trace.record("0005", "arrived", sender="Other@a.test", account="alice@a.test", to=["bob@a.test"])
    trace.record("0006", "accepted", sender="alice@a.test", to=["bob@a.test"])
    assert await trace.candidates("alice@a.test", "", sent=True) == ["0006", "0005"]
    assert await trace.candidates("other@a.test", "", sent=True) == ["0005"]
    assert await trace.candidates("bob@a.test", "", sent=True) == []
    assert (await trace.story("0001"))[0]["subject"] == "Invoice \u00dcber 17"
    await trace.close()


async def test_a_part_that_was_queued_is_found_as_its_message(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace.sqlite3")
    trace.record("0001", "arrived", sender="s@far.test", to=["list@a.test"], subject=b"hello")
    trace.record("0001", "queued", to=["x@far.test"], queued_as="0002")
    trace.record("0002", "delivered", to="x@far.test")
    assert await trace.candidates("x@far.test", "") == ["0001"]
    for id in ("0001", "0002"):
        assert [event["event"] for event in await trace.story(id)] == ["arrived", "queued", "delivered"]
    await trace.close()


async def test_what_is_no_text_costs_only_itself(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace.sqlite3")
    trace.record("0001", "arrived", to=["alice@a.test"], helo="a\udcffb")
    trace.record("0002", "arrived", to=["alice@a.test"], helo="a\0b", subject=b"a\0b\xff \xed\xa0\x80")
    trace.record("0003", "arrived", to=["a\udcff@a.test"])
    assert await names(trace, "alice@a.test") == ["arrived"]
    assert [event["helo"] for event in await trace.story("0002")] == ["a\0b"]
    assert await trace.candidates("alice@a.test", "") == ["0002"]
    await trace.close()


async def test_subjects_are_kept_or_forgotten_as_the_settings_say(tmp_path: Path) -> None:
    for kept in (True, False):
        trace = Trace(tmp_path / "trace.sqlite3", subjects=kept)
        if kept:
            trace.record("0001", "arrived", to=["alice@a.test"], subject=b"secret plans")
            assert await trace.candidates("alice@a.test", "secret") == ["0001"]
        else:
            trace.record("0002", "arrived", to=["alice@a.test"], subject=b"secret too")
            assert await trace.candidates("alice@a.test", "secret") == []
            assert ["subject" in event for id in ("0001", "0002") for event in await trace.story(id)] == [False, False]
        await trace.close()
    assert b"secret" not in (tmp_path / "trace.sqlite3").read_bytes()


async def test_the_trace_of_an_older_version_goes_on(tmp_path: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(tmp_path / "trace.sqlite3")
    connection.executescript(
        "CREATE TABLE event (time REAL NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, fields BLOB NOT NULL);"
        "CREATE TABLE word (word TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (word, id)) WITHOUT ROWID;"
        "INSERT INTO event VALUES (1800000000, '0001', 'accepted', CAST('{\"to\":[\"alice@a.test\"]}' AS BLOB));"
        "INSERT INTO word VALUES ('alice@a.test', '0001');"
    )
    connection.close()
    trace = Trace(tmp_path / "trace.sqlite3", Clock())
    trace.record("0002", "arrived", to=["alice@a.test"], subject=b"new")
    assert await trace.candidates("alice@a.test", "") == ["0002", "0001"]
    await trace.close()


def test_the_page_names_every_event_that_the_code_records() -> None:
    recorded = set()
    for path in (ROOT / "mailstack").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "record"):
                continue
            if "trace" not in ast.unparse(node.func.value) and path.name != "trace.py":
                continue
            found = [one.value for one in ast.walk(node.args[1]) if isinstance(one, ast.Constant)]
            assert found, f"{path}:{node.lineno}: the event's name must be written there"
            recorded |= set(found)
    page = (ROOT / "docs" / "trace.md").read_text()
    named = {name for row in re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert len(recorded) > 10
    assert recorded <= named, f"docs/trace.md lacks {sorted(recorded - named)}"


async def test_a_disk_that_fails_loses_only_the_trace(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "none" / "trace.sqlite3")
    trace.record("0001", "accepted", to=["alice@a.test"])
    await trace.close()
    assert trace.lost == 1
    assert not (tmp_path / "none").exists()


async def test_nothing_to_write_makes_no_file(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace.sqlite3")
    await trace.close()
    assert list(tmp_path.iterdir()) == []


async def test_strangers_do_not_fill_the_disk_nor_push_out_what_was_mail(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "trace", most=300)
    trace.record("0", "delivered", to="alice@a.test")
    for number in range(1, 1000):
        trace.record(f"{number:04}", "refused", sender=f"s{number}@far.test", to="nobody@a.test")
        if number % 200 == 0:
            await trace.find("x")  # all is written
    for number in range(1000, 1301):
        trace.record(f"{number:04}", "accepted", sender="far@far.test", to="alice@a.test")
    assert not await trace.find("s1@far.test")
    assert not await trace.find("0500")
    assert await trace.find("1300")
    await trace.close()
    with sqlite3.connect(tmp_path / "trace") as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone()[0] <= 300
        assert connection.execute("SELECT count(*) FROM word").fetchone()[0] <= 3 * 300
        assert connection.execute("SELECT count(*) FROM event WHERE name='refused'").fetchone()[0] == 0
