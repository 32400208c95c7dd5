"""What became of messages: found by id, Message-ID and address; old ones go."""

from pathlib import Path

from mailstack.store.trace import KEPT_SECONDS, Trace


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
