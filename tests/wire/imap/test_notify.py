"""NOTIFY from text (RFC 5465 8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.wire.imap import commands as c
from mailstack.wire.imap.fetch import Attribute
from mailstack.wire.imap.framing import CommandLine, Literal
from mailstack.wire.imap.grammar import parse
from mailstack.wire.imap.notify import Event, EventGroup, Which
from mailstack.wire.imap.scanner import CommandProblem

BOTH = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE})
GOOD = [
    (b"a NOTIFY NONE", c.Notify()),
    (b"a notify Set (Personal None)", c.Notify((EventGroup(Which.PERSONAL, frozenset()),))),
    (b"a NOTIFY SET STATUS (inboxes (MessageExpunge messagenew))", c.Notify((EventGroup(Which.INBOXES, BOTH),), True)),
    (
        b"a NOTIFY SET (selected-delayed (MessageNew (UID FLAGS) FlagChange MessageExpunge)) "
        b"(subtree (a \"b c\") (MailboxName))",
        c.Notify(
            (
                EventGroup(
                    Which.SELECTED_DELAYED, BOTH | {Event.FLAG_CHANGE}, items=(Attribute.UID, Attribute.FLAGS)
                ),
                EventGroup(Which.SUBTREE, frozenset({Event.MAILBOX_NAME}), ("a", "b c")),
            )
        ),
    ),
    (
        b"a NOTIFY SET (mailboxes status (SubscriptionChange NewEvent))",
        c.Notify(
            (
                EventGroup(
                    Which.MAILBOXES, frozenset({Event.SUBSCRIPTION_CHANGE}), ("status",), unknown=frozenset({"NEWEVENT"})
                ),
            )
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "command"), GOOD, ids=lambda value: value.decode() if isinstance(value, bytes) else "")
def test_good(text: bytes, command: c.Command) -> None:
    assert parse(CommandLine((text,)))[1] == command


def test_a_literal_names_a_mailbox() -> None:
    line = CommandLine((b"a NOTIFY SET (mailboxes ", Literal(b"x y", 3), b" (MailboxName))"))
    assert parse(line)[1] == c.Notify((EventGroup(Which.MAILBOXES, frozenset({Event.MAILBOX_NAME}), ("x y",)),))


BAD = [
    b"", b" ", b" SET", b" SET STATUS", b" NONE x", b" SET ()", b" SET (personal)", b" SET (personal ())",
    b" SET (personal NEVER)",
    b" SET (personal (MessageNew))", b" SET (personal (MessageExpunge))", b" SET (personal (FlagChange MessageNew))",
    b" SET (selected (MailboxName))", b" SET (selected NONE) (selected-delayed NONE)", b" SET (subtree (MailboxName))",
    b" SET (mailboxes () (MailboxName))", b" SET (personal (MessageNew (UID) MessageExpunge))",
    b" SET (selected (MessageNew () MessageExpunge))",
    b" SET (personal (MailboxName)", b" STATUS (personal NONE)", b" SET (nobody NONE)",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_bad(text: bytes) -> None:
    with pytest.raises(CommandProblem):
        parse(CommandLine((b"a NOTIFY" + text,)))


PIECES = st.sampled_from(
    ["SET", "NONE", "STATUS", "(", ")", "((", "))", " ", "  ", "selected", "selected-delayed", "personal", "subtree",
     "mailboxes", "MessageNew", "MessageExpunge", "FlagChange", "MailboxName", "UID", "(UID)", "INBOX", '"x y"', "&AOk-",
     "\xe9", "\0", "{3}"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=20), st.booleans())
def test_anything(pieces: list[str], spaced: bool) -> None:
    text = (" " if spaced else "").join(pieces).encode("latin-1")
    try:
        assert isinstance(parse(CommandLine((b"a NOTIFY " + text,)))[1], c.Notify)
    except CommandProblem:
        pass
