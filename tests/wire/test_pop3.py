"""POP3's words: commands, lines whatever the packets, and messages that come back as they were."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.pop3 import LINE_LIMIT, LOGIN_LINE_LIMIT, Command, Lines, Stuffer, parse

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200"))


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b"quit", Command("QUIT", b"")), (b"RETR 7", Command("RETR", b"7")), (b"TOP 1  2 ", Command("TOP", b"1  2")),
        (b"PASS  two words ", Command("PASS", b" two words ")), (b"USER \xc3\xbc@a.test", Command("USER", b"\xc3\xbc@a.test")),
    ],
)  # fmt: skip
def test_commands(line: bytes, command: Command) -> None:
    assert parse(line) == command


@pytest.mark.parametrize("line", [b"", b" ", b"1", b"RETR7", b"\xff", b"A\0", b"ABCDEFGHIJK"])
def test_what_is_no_command(line: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        parse(line)


def test_numbers() -> None:
    assert parse(b"TOP 1 20").numbers(2, 2) == [1, 20]
    assert parse(b"LIST").numbers(0, 1) == []
    for line in (b"TOP 1", b"TOP 1 2 3", b"TOP 1 x", b"TOP 1 -2", b"TOP 1  2", b"TOP 1 99999999999", b"TOP 1 \xd9\xa1"):
        with pytest.raises(SyntaxProblem):
            parse(line).numbers(2, 2)
    with pytest.raises(SyntaxProblem):
        parse(b"QUIT now").nothing()
    with pytest.raises(SyntaxProblem):
        parse(b"USER \xff").text()


def read(lines: Lines) -> list[bytes | None]:
    found = []
    while True:
        try:
            found.append(lines.next())
        except EOFError:
            return found


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
def test_lines_whatever_the_packets(size: int) -> None:
    long, login = b"x" * LINE_LIMIT, b"auth " + b"x" * LINE_LIMIT
    data = b"NOOP\r\nSTAT\n\r\n" + long + b"\r\n" + login + b"\r\n" + b"y" * (LOGIN_LINE_LIMIT + 500) + b"\r\nQUIT\r\nrest"
    lines, found = Lines(), []
    for start in range(0, len(data), size):
        lines.feed(data[start : start + size])
        found += read(lines)
    assert found == [b"NOOP", b"STAT", b"", None, login, None, b"QUIT"]
    assert lines.take() == b"rest"
    assert lines.buffered == 0


def stuffed(message: bytes, size: int, body_lines: int | None = None) -> bytes:
    one = Stuffer(body_lines)
    pieces = [one.feed(message[start : start + size]) for start in range(0, len(message), size)]
    return b"".join(pieces) + one.end()


def unstuffed(data: bytes) -> bytes:
    """As a client reads it."""
    lines = []
    for line in data.split(b"\r\n"):
        if line == b".":
            break
        lines.append(line.removeprefix(b".") if line.startswith(b".") else line)
    else:
        raise AssertionError("no end")
    assert data.endswith(b"\r\n.\r\n") or data == b".\r\n"
    return b"".join(line + b"\r\n" for line in lines)


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (b"", b".\r\n"), (b"a\r\n", b"a\r\n.\r\n"), (b"a", b"a\r\n.\r\n"), (b".\r\n", b"..\r\n.\r\n"),
        (b"a\r\n.\r\n.b\r\n", b"a\r\n..\r\n..b\r\n.\r\n"), (b"a\n.\n", b"a\r\n..\r\n.\r\n"), (b"a\r", b"a\r\r\n.\r\n"),
        (b"a\r.\r\n", b"a\r.\r\n.\r\n"), (b"\r\n\r\n", b"\r\n\r\n.\r\n"), (b"a\n\r\n.", b"a\r\n\r\n..\r\n.\r\n"),
    ],
)  # fmt: skip
def test_stuffing(message: bytes, shown: bytes, size: int) -> None:
    assert stuffed(message, size) == shown


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("lines", "body"), [(0, b""), (1, b"1\r\n"), (2, b"1\r\n..2\r\n"), (3, b"1\r\n..2\r\n3\r\n"), (9, b"1\r\n..2\r\n3\r\n")]
)
def test_top(lines: int, body: bytes, size: int) -> None:
    header = b"A: b\r\nC: d\r\n\r\n"
    assert stuffed(header + b"1\r\n.2\r\n3", size, lines) == header + body + b".\r\n"
    assert stuffed(b"\r\n1\r\n.2\r\n3", size, lines) == b"\r\n" + body + b".\r\n"
    assert stuffed(b"A: b\r\n", size, lines) == b"A: b\r\n.\r\n"


PIECES = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"..", b"a", b"\0", b"\r\n.\r\n", b"\xff"])).map(b"".join)


@settings(max_examples=EXAMPLES, deadline=None)
@given(PIECES, st.integers(1, 9), st.one_of(st.none(), st.integers(0, 4)))
def test_a_message_comes_back_whole(message: bytes, size: int, lines: int | None) -> None:
    data = stuffed(message, size, lines)
    assert data == stuffed(message, 10_000, lines)
    whole = message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if lines is None:
        assert unstuffed(data) == whole + (b"" if whole.endswith(b"\r\n") or not whole else b"\r\n")
    else:
        shown = unstuffed(data)
        assert shown in (whole[: len(shown)], whole + b"\r\n")


@pytest.mark.fuzz
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode)))
def test_anything_is_a_command_or_a_problem(line: bytes) -> None:
    try:
        command = parse(line)
        command.numbers(0, 2)
        command.text()
        command.nothing()
    except SyntaxProblem:
        pass
