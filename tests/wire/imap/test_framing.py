"""Bytes to events: the same whatever the split."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.wire.imap.framing import CommandLine, Event, Framer, Literal, LiteralData, NeedLiteral, Violation, is_message

STREAM = (
    b"a1 NOOP\r\na2 LOGIN {5}\r\nalice {3+}\r\nabc\r\na3 APPEND INBOX (\\Seen) {10+}\r\n0123456789\r\n"
    b"a4 SEARCH TEXT {9999999+}\r\n"
)


def drive(pieces: list[bytes]) -> list[Event]:
    """All events, with streamed pieces joined; small literals are taken, messages streamed, huge ones refused."""
    framer = Framer(line_limit=100, literal_limit=1000)
    events: list[Event] = []
    for piece in pieces:
        framer.feed(piece)
        while (event := framer.next_event()) is not None:
            if isinstance(event, NeedLiteral):
                if is_message(event):
                    framer.accept(stream=True)
                elif framer.fits(event.size):
                    framer.accept()
                else:
                    framer.refuse()
            if isinstance(event, LiteralData) and events and isinstance(events[-1], LiteralData):
                events[-1] = LiteralData(events[-1].data + event.data, event.last)
            else:
                events.append(event)
    return events


def test_the_split_does_not_matter() -> None:
    stream = STREAM + b"z" * 500
    whole = drive([stream])
    for size in (1, 2, 3, 7, 50):
        assert drive([stream[place : place + size] for place in range(0, len(stream), size)]) == whole
    lines = [event for event in whole if isinstance(event, CommandLine)]
    assert lines[0].parts == (b"a1 NOOP",)
    assert lines[1].parts == (b"a2 LOGIN ", Literal(b"alice", 5), b" ", Literal(b"abc", 3), b"")
    assert lines[2].parts == (b"a3 APPEND INBOX (\\Seen) ", Literal(None, 10), b"")
    assert LiteralData(b"0123456789", True) in whole


def test_a_refused_literal_that_comes_all_the_same_is_dropped() -> None:
    events = drive([b"a1 LOGIN {2000+}\r\n" + b"x" * 2000 + b" {3+}\r\nabc\r\na2 NOOP\r\n"])
    assert isinstance(events[0], NeedLiteral)
    assert events[1:] == [CommandLine((b"a2 NOOP",))]


def test_a_long_line_is_dropped_and_the_next_one_read() -> None:
    events = drive([b"a1 " + b"x" * 90, b"y" * 90, b"z\r\na2 NOOP\r\n"])
    assert events == [Violation("line too long", b"a1"), CommandLine((b"a2 NOOP",))]


def test_the_mailbox_name_of_append_is_no_message() -> None:
    framer = Framer(line_limit=100, literal_limit=1000)
    framer.feed(b"a1 APPEND {5}\r\n")
    need = framer.next_event()
    assert isinstance(need, NeedLiteral)
    assert not is_message(need)
    framer.accept()
    framer.feed(b"INBOX {3}\r\n")
    need = framer.next_event()
    assert isinstance(need, NeedLiteral)
    assert is_message(need)


PIECES = [
    b"a1 NOOP\r\n", b"a2 LOGIN x ", b"{5}\r\n", b"{3+}\r\n", b"~{4+}\r\n", b"{0+}\r\n", b"{2000+}\r\n", b"{99999}\r\n",
    b"\r\n", b"\n", b"\r", b"x" * 30, b"x" * 99, b"x" * 2000, b"a3 APPEND INBOX ", b"APPEND", b" ", b'"', b"{", b"}",
    b"\0", b"\xff", b"abc",
]  # fmt: skip
STREAMS = st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join))


def hold(data: bytes, size: int) -> None:
    """The same events whatever the split, and what was given back was sent."""
    whole = drive([data])
    assert drive([data[place : place + size] for place in range(0, len(data), size)]) == whole
    for event in whole:
        if isinstance(event, CommandLine):
            assert event.parts
            for part in event.parts:
                octets = part.data if isinstance(part, Literal) else part
                assert octets is None or octets in data
                assert not isinstance(part, Literal) or part.data is None or len(part.data) == part.size
        elif isinstance(event, LiteralData):
            assert event.data in data


@settings(max_examples=300, deadline=None)
@given(STREAMS, st.integers(1, 20))
def test_any_bytes_give_the_same_events(data: bytes, size: int) -> None:
    hold(data, size)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@settings(max_examples=int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "5000")), deadline=None)
@given(STREAMS, st.integers(1, 20))
def test_any_bytes_give_the_same_events_for_long(data: bytes, size: int) -> None:
    hold(data, size)


def test_many_short_lines_in_one_block_are_read_at_once() -> None:
    framer = Framer(line_limit=100, literal_limit=1000)
    framer.feed(b"a NOOP\r\n" * 200_000)
    begun = time.process_time()
    count = 0
    while framer.next_event() is not None:
        count += 1
    assert count == 200_000
    assert time.process_time() - begun < 3
    assert framer.buffered == 0
