"""Each parser gives a value or a SyntaxProblem, and nothing else, for anything that a client may send."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import commands as c
from mailstack.wire.imap import mutf7, responses, sequence
from mailstack.wire.imap.fetch import Attribute
from mailstack.wire.imap.framing import CommandLine, Literal
from mailstack.wire.imap.grammar import COMMANDS, parse
from mailstack.wire.imap.scanner import CommandProblem
from tests.support.responses import Reader

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "5000"))
ATOMS = [
    "1", "0", "1:*", "*:4,7", "4294967295", "4294967296", "$", "INBOX", '"a b"', '"\\""', '""', "NIL", "(", ")", "()", "((",
    "))", " ", "  ", "&AOk-", "&", "&-", "&AAA-", "\\Seen", "\\*", "\\", "$Label", "FLAGS", "+FLAGS.SILENT", "-FLAGS",
    "(FLAGS UID)", "BODY[]", "BODY.PEEK[1.2.HEADER]", "BODY[HEADER.FIELDS (From", "To)]", "BODY[1.MIME]<0.10>",
    "BODY[TEXT]<1>", "BINARY.SIZE[1]", "BINARY[1]<0.1>", "RFC822.SIZE", "ENVELOPE", "ALL", "FULL", "[", "]", "<", ">",
    "(CHANGEDSINCE 0)", "(UNCHANGEDSINCE 5)", "RETURN", "(MIN MAX SAVE)", "CHARSET", "UTF-8", "X", "OR", "NOT", "SEEN",
    "KEYWORD", "SINCE", "1-Jan-2024", "31-Feb-2024", '"01-Feb-2024 03:04:05 +0000"', '"99-Feb-2024 03:04:05 +9999"',
    "(SUBJECT REVERSE DATE)", "REFERENCES", "FUZZY", "FILTER", "YOUNGER", "IN (personal subtree (a b))", "(PARTIAL 1:9 UPDATE)",
    "HEADER", "MODSEQ", '"/flags/\\\\Seen"', "all", "LARGER", "UID", "(USE (\\Sent))", "(CONDSTORE)", "(STATUS (MESSAGES))",
    "(SUBSCRIBED RECURSIVEMATCH)", "%", "a*%", "PLAIN", "=", "DEFLATE", "UTF8 (", "CONDSTORE", "SET", "(personal",
    "(MessageNew", "CATENATE (TEXT", "CATENATE (URL \";UID=1\")", "(DEPTH 1)", "/private/x", "\xe9", "\x7f", "\x01", "\t",
]  # fmt: skip
PART = st.one_of(
    st.sampled_from(ATOMS).map(lambda text: text.encode("latin-1")),
    st.binary(max_size=5),
    st.builds(lambda data, binary: Literal(data, len(data), binary), st.binary(max_size=8), st.booleans()),
    st.builds(lambda size: Literal(None, size), st.integers(0, 99)),
)


@st.composite
def lines(draw: st.DrawFn) -> CommandLine:
    """A command's name with pieces of commands behind it."""
    text = b"a " + draw(st.sampled_from(sorted(COMMANDS))).encode()
    parts: list[bytes | Literal] = []
    for part in draw(st.lists(PART, max_size=8)):
        space = draw(st.sampled_from([b" ", b""]))
        if isinstance(part, Literal):
            parts += [text + space, part]
            text = b""
        else:
            text += space + part.replace(b"\n", b"")
    return CommandLine((*parts, text))


def hold(line: CommandLine, utf8: bool) -> None:
    try:
        tag, command = parse(line, utf8=utf8)
    except CommandProblem as problem:
        reason = problem.reason
    else:
        reason = ""
    assert "\r" not in reason
    assert "\n" not in reason
    if reason:
        return
    assert tag == b"a"
    if isinstance(command, c.Fetch):
        for item in command.items:
            if not isinstance(item, Attribute):  # what is asked for is named in the answer, as the grammar has it
                kind = b"1" if item.label.startswith(b"BINARY.SIZE") else b"NIL"
                reader = Reader(item.label + b" " + kind)
                reader.fetch_item()
                assert reader.at == len(reader.data)


@settings(max_examples=1000, deadline=None)
@given(lines(), st.booleans())
def test_commands(line: CommandLine, utf8: bool) -> None:
    hold(line, utf8)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@settings(max_examples=EXAMPLES, deadline=None)
@given(lines(), st.booleans())
def test_commands_for_long(line: CommandLine, utf8: bool) -> None:
    hold(line, utf8)


SET = st.one_of(st.binary(max_size=12), st.text(alphabet="0123456789:,*$", max_size=12).map(str.encode))
NAME = st.one_of(st.binary(max_size=20), st.text(alphabet="&-A,+/aO", max_size=12).map(str.encode))


def hold_pieces(numbers: bytes, name: bytes, text: str) -> None:
    try:
        sequence.parse(numbers)
    except SyntaxProblem:
        pass
    try:
        assert mutf7.encode(mutf7.decode(name)) == name
    except SyntaxProblem:
        pass
    # A name in an answer is read as the name that it is.
    for utf8 in (False, True):
        reader = Reader(responses.mailbox(text, utf8=utf8), utf8)
        shown = reader.astring()
        assert reader.at == len(reader.data)
        assert (shown.decode() if utf8 else mutf7.decode(shown)) == text
    reader = Reader(responses.string(name))
    assert reader.string() == name.replace(b"\0", b"\x80")
    assert reader.at == len(reader.data)


TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)


@settings(max_examples=500, deadline=None)
@given(SET, NAME, TEXT)
def test_pieces(numbers: bytes, name: bytes, text: str) -> None:
    hold_pieces(numbers, name, text)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@settings(max_examples=EXAMPLES, deadline=None)
@given(SET, NAME, TEXT)
def test_pieces_for_long(numbers: bytes, name: bytes, text: str) -> None:
    hold_pieces(numbers, name, text)
