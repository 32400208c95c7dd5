"""Commands from text, and nothing but a value or a CommandProblem from anything."""

import os
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.errors import SyntaxProblem
from mailstack.message.flag import Flags
from mailstack.wire.imap import commands as c
from mailstack.wire.imap import mutf7, sequence
from mailstack.wire.imap.fetch import Attribute, BinarySize, Kind, Section
from mailstack.wire.imap.framing import CommandLine, Literal
from mailstack.wire.imap.grammar import parse
from mailstack.wire.imap.scanner import CommandProblem
from mailstack.wire.imap.search import (
    And,
    Filter,
    Fuzzy,
    HasFlag,
    Header,
    Not,
    Or,
    Partial,
    Return,
    Returns,
    Text,
    Uids,
    Within,
)
from mailstack.wire.imap.search_sources import Scope, Source
from mailstack.wire.imap.sort import Algorithm, Criterion, SortKey

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200"))


def one(text: bytes, *, utf8: bool = False) -> c.Command:
    return parse(CommandLine((text,)), utf8=utf8)[1]


GOOD = [
    (b"a NOOP", c.Noop()),
    (b'a LOGIN "al\\"ice" pass', c.Login('al"ice', "pass")),
    (b"a SELECT inbox (CONDSTORE)", c.Select("inbox", False, True)),
    (b"a EXAMINE Entw&APw-rfe", c.Select("Entw\u00fcrfe", True)),
    (b"a UID FETCH 1:*,7 FLAGS", c.Fetch(True, sequence.parse(b"1:*,7"), (Attribute.FLAGS,))),
    (b"a FETCH 1 FAST", c.Fetch(False, sequence.parse(b"1"), (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE))),
    (
        b"a FETCH 1 (BODY.PEEK[1.2.HEADER.FIELDS (From To)]<0.10> BINARY.SIZE[3])",
        c.Fetch(
            False,
            sequence.parse(b"1"),
            (
                Section((1, 2), Kind.HEADER_FIELDS, (b"from", b"to"), True, 0, 10, b"BODY[1.2.HEADER.FIELDS (From To)]<0>"),
                BinarySize((3,), b"BINARY.SIZE[3]"),
            ),
        ),
    ),
    (b"a FETCH 1 UID (CHANGEDSINCE 0)", c.Fetch(False, sequence.parse(b"1"), (Attribute.UID,), 0)),
    (b"a STORE 2 (UNCHANGEDSINCE 7) -FLAGS.SILENT (\\Seen kw)",
     c.Store(False, sequence.parse(b"2"), "-", True, ("\\Seen", "kw"), 7)),
    (b"a STORE 2 FLAGS \\Seen kw", c.Store(False, sequence.parse(b"2"), "", False, ("\\Seen", "kw"))),
    (b"a UID EXPUNGE 3:4", c.Expunge(sequence.parse(b"3:4"))),
    (b"a MOVE $ Trash", c.Move(False, sequence.SAVED, "Trash")),
    (b"a SEARCH RETURN () NOT SEEN", c.Search(False, Not(HasFlag(Flags.SEEN)), Returns(Return.ALL))),
    (b"a SEARCH RETURN (PARTIAL -1:-5 COUNT) ALL",
     c.Search(False, And(()), Returns(Return.PARTIAL | Return.COUNT, Partial(-1, -5)))),
    (b"a SORT (REVERSE DATE SUBJECT) UTF-8 ALL",
     c.Sort(False, (Criterion(SortKey.DATE, True), Criterion(SortKey.SUBJECT)), And(()))),
    (b'a UID SORT RETURN (MIN) (DISPLAYFROM) "us-ascii" SEEN',
     c.Sort(True, (Criterion(SortKey.DISPLAYFROM),), HasFlag(Flags.SEEN), Returns(Return.MIN))),
    (b"a SEARCH YOUNGER 60 FUZZY TEXT x", c.Search(False, And((Within(60, False), Fuzzy(Text("x")))))),
    (b"a ESEARCH IN (selected subtree (a b)) RETURN (MIN) ALL",
     c.SearchMailboxes((Source(Scope.SELECTED), Source(Scope.SUBTREE, ("a", "b"))), And(()), Returns(Return.MIN))),
    (b'a CANCELUPDATE "b1" "b2"', c.CancelUpdate(("b1", "b2"))),
    (b"a SEARCH RETURN (UPDATE CONTEXT) FILTER on-the-road",
     c.Search(False, Filter("on-the-road"), Returns(Return.UPDATE | Return.CONTEXT))),
    (b"a ESEARCH ALL", c.SearchMailboxes((Source(Scope.SELECTED),), And(()), Returns(Return.ALL))),
    (b"a UID FETCH 1 UID (PARTIAL -1:-5)",
     c.Fetch(True, sequence.parse(b"1"), (Attribute.UID,), partial=Partial(-1, -5))),
    (b"a UID THREAD refs UTF-8 ALL", c.Thread(True, Algorithm.REFS, And(()))),
    (b"a UID SEARCH CHARSET utf-8 OR FROM x (UID 1 SEEN)",
     c.Search(True, Or(Header("from", "x"), And((Uids(sequence.parse(b"1")), HasFlag(Flags.SEEN)))))),
    (b'a LIST "" (INBOX "a %") RETURN (CHILDREN STATUS (MESSAGES))',
     c.ListMailboxes("", ("INBOX", "a %"), frozenset(), frozenset({"CHILDREN"}), ("MESSAGES",), True)),
    (b"a ID NIL", c.Id(())),
    (b"a SETACL x bob@a.test +lrs", c.SetAcl("x", "bob@a.test", "+", "lrs")),
    (b'a SETACL x "-anyone" ""', c.SetAcl("x", "-anyone", "", "")),
    (b"a DELETEACL x anyone", c.DeleteAcl("x", "anyone")),
    (b"a LISTRIGHTS x anyone", c.ListRights("x", "anyone")),
    (b"a MYRIGHTS x", c.MyRights("x")),
    (b"a GETACL x", c.GetAcl("x")),
    (b"a AUTHENTICATE PLAIN =", c.Authenticate("PLAIN", b"=")),
    (b"a CREATE x (USE (\\Sent))", c.Create("x", ("\\Sent",))),
]  # fmt: skip


@pytest.mark.parametrize(("text", "command"), GOOD, ids=lambda value: value if isinstance(value, bytes) else "")
def test_good(text: bytes, command: c.Command) -> None:
    assert one(text) == command


BAD = [
    b"", b"a", b"a ", b"a FOO", b"* NOOP", b"a NOOP x", b"a FETCH 0 FLAGS", b"a FETCH 1:0 FLAGS", b"a FETCH 1 ()",
    b"a FETCH 1 BODY[0]", b"a FETCH 1 BODY[MIME]", b"a FETCH 1 BODY[]<0.0>", b"a LOGIN x", b"a SELECT x&y",
    b"a SELECT (x)", b"a STORE 1 FLAGS", b"a SEARCH", b"a SEARCH " + b"(" * 100 + b"ALL" + b")" * 100,
    b"a SEARCH SINCE 31-Feb-2024", b"a SORT () UTF-8 ALL", b"a ESEARCH IN () ALL", b"a CANCELUPDATE", b"a SEARCH FILTER a/b",
    b"a ESEARCH IN (mailboxes) ALL",
    b"a ESEARCH IN (personal) RETURN (SAVE) ALL", b"a ESEARCH IN (personal (x)) ALL", b"a SEARCH RETURN (RELEVANCY) ALL",
    b"a SORT (DATE) UTF-8", b"a SORT (REVERSE) UTF-8 ALL",
    b"a SORT (X) UTF-8 ALL", b"a THREAD X UTF-8 ALL", b"a THREAD REFS UTF-8", b"a SEARCH RETURN (PARTIAL 0:1) ALL",
    b"a SEARCH RETURN (PARTIAL -1:1) ALL", b"a SEARCH RETURN (PARTIAL 1:2 ALL) ALL", b"a SEARCH RETURN (PARTIAL 1:*) ALL",
    b"a APPEND x", b"a LIST x", b"a STATUS x ()", b"a LOGIN \x00 y", b"a ENABLE",
    b"a SETACL x y", b"a SETACL x y L", b"a SETACL x \"\" l", b"a SETACL x y l z", b"a SETACL x y ++l",
    b"a GETACL", b"a MYRIGHTS x y",
    b"a UID NOOP", b"a FETCH 4294967296 FLAGS",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_bad(text: bytes) -> None:
    with pytest.raises(CommandProblem):
        one(text)


def test_literals_stand_for_strings() -> None:
    line = CommandLine((b"a LOGIN ", Literal(b"al ice", 6), b" ", Literal(b"\xc3\xa9", 2), b""))
    assert parse(line) == (b"a", c.Login("al ice", "\u00e9"))
    with pytest.raises(CommandProblem):
        parse(CommandLine((b"a LOGIN ", Literal(b"\xff", 1), b" x")))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.sampled_from([text for text, _ in GOOD]).flatmap(
    lambda text: st.tuples(st.integers(0, len(text)), st.binary(max_size=6)).map(
        lambda cut: text[: cut[0]] + cut[1] + text[cut[0] + 1 :])
)))  # fmt: skip
def test_anything_is_a_value_or_a_problem(text: bytes) -> None:
    try:
        one(text)
    except CommandProblem:
        pass


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text(max_size=40))
def test_mailbox_names_both_ways(name: str) -> None:
    if any(ord(character) < 0x20 or ord(character) == 0x7F or 0xD800 <= ord(character) < 0xE000 for character in name):
        return
    assert mutf7.decode(mutf7.encode(name)) == name


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=30))
def test_mailbox_names_from_anything(data: bytes) -> None:
    try:
        assert mutf7.encode(mutf7.decode(data)) == data
    except SyntaxProblem:
        pass


@given(st.sets(st.integers(1, 60)), st.lists(st.tuples(st.integers(0, 70), st.integers(0, 70)), min_size=1, max_size=4))
def test_sets_name_what_they_say(existing: set[int], ranges: list[tuple[int, int]]) -> None:
    uids = array("I", sorted(existing))
    text = b",".join(b":".join(b"*" if n == 0 else b"%d" % n for n in pair) for pair in ranges)
    chosen = sequence.parse(text).uids(uids)
    highest = uids[-1] if uids else 0
    spans = [sorted((first or highest, last or highest)) for first, last in ranges]
    assert list(chosen) == [uid for uid in uids if any(low <= uid <= high for low, high in spans)]
    if chosen:
        assert list(sequence.parse(sequence.compact(chosen)).uids(uids)) == list(chosen)
