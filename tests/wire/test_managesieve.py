"""ManageSieve's grammar (RFC 5804 4): cases both ways, whatever the packets, and nothing but values or problems."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.managesieve import Command, Framer, TooLarge, literal, quoted, reply

CASES: list[tuple[bytes, Command]] = [
    (b"NOOP\r\n", Command("NOOP")),
    (b"noop\n", Command("NOOP")),
    (b'NOOP "a \\"b\\" \\\\"\r\n', Command("NOOP", (b'a "b" \\',))),
    (b'HAVESPACE "x" 999\r\n', Command("HAVESPACE", (b"x", 999))),
    (b'PUTSCRIPT "x" {6+}\r\nkeep;\n\r\n', Command("PUTSCRIPT", (b"x", b"keep;\n"))),
    (b"RENAMESCRIPT {1+}\r\na {0+}\r\n\r\n", Command("RENAMESCRIPT", (b"a", b""))),
    (b'PUTSCRIPT {3+}\r\n{9} "keep;"\r\n', Command("PUTSCRIPT", (b"{9}", b"keep;"))),
    (b'"AGEA"\r\n', Command("", (b"AGEA",))),
    (b"{2+}\r\n\r\n\r\n", Command("", (b"\r\n",))),
]
WRONG = [
    b"\r\n", b'NOOP"a"\r\n', b'NOOP "a\r\n', b"NOOP NOOP\r\n", b"NOOP  9\r\n", b'"a" "b"\r\n', b"PUTSCRIPT {3}\r\nabc\r\n",
    b'X {1+}\r\na"b"\r\n', b"{\r\n", b"\x80\r\n", b"NOOP \xff\r\n", b"X " + b'"a" ' * 9000 + b"\r\n",
]  # fmt: skip


@pytest.mark.parametrize(("text", "wanted"), CASES)
def test_commands_whole_and_an_octet_at_a_time(text: bytes, wanted: Command) -> None:
    framer = Framer()
    framer.feed(text + text)
    assert framer.next() == wanted
    assert framer.next() == wanted
    found = []
    for octet in text:
        framer.feed(bytes((octet,)))
        try:
            found.append(framer.next())
        except EOFError:
            continue
    assert found == [wanted]
    with pytest.raises(EOFError):
        framer.next()


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_command_does_not_spoil_the_next_one(text: bytes) -> None:
    framer = Framer()
    framer.feed(text)
    with pytest.raises(SyntaxProblem):
        framer.next()
    framer.feed(b"NOOP\r\n")
    assert framer.next() == Command("NOOP")


def test_a_literal_that_is_too_large_is_passed_over() -> None:
    for step in (1, 7, 100_000):
        framer = Framer()
        text = b'PUTSCRIPT "x" {30000+}\r\n' + b"x" * 30000 + b"\r\nNOOP\r\n"
        found: list[object] = []
        for place in range(0, len(text), step):
            framer.feed(text[place : place + step])
            while True:
                try:
                    found.append(framer.next())
                except EOFError:
                    break
                except TooLarge:
                    found.append("too large")
        assert found == ["too large", Command("NOOP")]
        assert framer.buffered == 0


@pytest.mark.parametrize("text", [b"X {99999999+}\r\n", b"x" * 100_000])
def test_what_has_no_end_ends_the_connection(text: bytes) -> None:
    framer = Framer()
    framer.feed(text)
    with pytest.raises(OverflowError):
        framer.next()


@given(st.lists(st.binary(max_size=30), max_size=8), st.binary(max_size=60))
def test_anything_gives_commands_or_problems(packets: list[bytes], last: bytes) -> None:
    framer = Framer()
    for packet in [*packets, last, b'\r\n{3+}\r\n"\r\nNOOP "']:
        framer.feed(packet)
        while True:
            try:
                framer.next()
            except (EOFError, OverflowError):
                break
            except SyntaxProblem:
                continue


@given(st.binary(max_size=1100))
def test_strings_come_back(data: bytes) -> None:
    written = quoted(data)
    framer = Framer()
    framer.feed(b"X " + written.replace(b"}\r\n", b"+}\r\n", 1) if written.startswith(b"{") else b"X " + written)
    framer.feed(b"\r\n")
    assert framer.next() == Command("X", (data,))


def test_replies() -> None:
    assert reply("OK") == b"OK\r\n"
    assert reply("NO", "QUOTA/MAXSIZE", "too large") == b'NO (QUOTA/MAXSIZE) "too large"\r\n'
    assert reply("OK", "TAG", "Done", b'a"b') == b'OK (TAG "a\\"b") "Done"\r\n'
    assert reply("NO", None, "a\nb") == b"NO {3}\r\na\nb\r\n"
    assert literal(b"x") == b"{1}\r\nx"
