"""Bytes to events: the same whatever the split."""

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


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(1, 20))
def test_any_bytes_give_the_same_events(data: bytes, size: int) -> None:
    whole = drive([data])
    pieces = drive([data[place : place + size] for place in range(0, len(data), size)])
    assert [event for event in pieces if isinstance(event, CommandLine)] == [
        event for event in whole if isinstance(event, CommandLine)
    ]
