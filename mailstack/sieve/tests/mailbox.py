"""What mailboxes there are: mailboxexists, metadata (RFC 5490), mailboxidexists (RFC 9042), specialuse_exists (RFC 8579)."""

from collections.abc import Callable, Iterable, Sequence

from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Extension, Kind, Tag, Test
from mailstack.sieve.matching import AskingMatch, Matching
from mailstack.sieve.questions import Annotation, Asks, MailboxExists, MailboxIdExists, Question, SpecialUseExists
from mailstack.sieve.state import Run
from mailstack.sieve.step import Asking, Check


def all_true(questions: Callable[[Run], Iterable[Question]]) -> Check:
    """Whether the answers to all questions are true."""

    def ask(run: Run) -> Asks[bool]:
        for question in questions(run):
            if not (yield from run.ask(question)):
                return False
        return True

    return Asking(ask)


def _mailboxexists(bound: Bound) -> Check:
    names = bound.texts(0)
    return all_true(lambda run: [MailboxExists(name) for name in names(run)])


def _mailboxidexists(bound: Bound) -> Check:
    ids = bound.texts(0)
    return all_true(lambda run: [MailboxIdExists(id) for id in ids(run)])


def _specialuse(bound: Bound) -> Check:
    mailbox = bound.text(0) if bound.given(0) else None
    uses = bound.texts(1)
    return all_true(lambda run: [SpecialUseExists(mailbox(run) if mailbox else None, use) for use in uses(run)])


def _annotation(bound: Bound, mailbox: bool) -> Check:
    box, name = bound.text(0) if mailbox else None, bound.text(1 if mailbox else 0)
    matching = bound.match()

    def ask(run: Run) -> Asks[bool]:
        value = yield from run.ask(Annotation(box(run) if box else None, name(run)))
        return (yield from matched(run, (value,) if isinstance(value, str) else (), matching))

    return Asking(ask)


def matched(run: Run, values: Sequence[str], matching: Matching) -> Asks[bool]:
    """A match of either kind."""
    if isinstance(matching, AskingMatch):
        return (yield from matching.go(run, values))
    return matching(run, values)


def _annotations(bound: Bound, mailbox: bool) -> Check:
    box, names = bound.text(0) if mailbox else None, bound.texts(1 if mailbox else 0)

    def ask(run: Run) -> Asks[bool]:
        where = box(run) if box else None
        for name in names(run):
            if not isinstance((yield from run.ask(Annotation(where, name))), str):
                return False
        return True

    return Asking(ask)


_S, _L = Kind.STRING, Kind.STRINGS
EXTENSION = Extension("mailbox", tests={"mailboxexists": Test(_mailboxexists, (_L,))}, tags={"fileinto": (Tag("create"),)})
METADATA = Extension(
    "mboxmetadata",
    tests={
        "metadata": Test(lambda bound: _annotation(bound, True), (_S, _S, _L), matches=True),
        "metadataexists": Test(lambda bound: _annotations(bound, True), (_S, _L)),
    },
)
SERVER_METADATA = Extension(
    "servermetadata",
    tests={
        "servermetadata": Test(lambda bound: _annotation(bound, False), (_S, _L), matches=True),
        "servermetadataexists": Test(lambda bound: _annotations(bound, False), (_L,)),
    },
)
MAILBOX_ID = Extension(
    "mailboxid", tests={"mailboxidexists": Test(_mailboxidexists, (_L,))}, tags={"fileinto": (Tag("mailboxid", _S),)}
)
SPECIAL_USE = Extension(
    "special-use",
    tests={"specialuse_exists": Test(_specialuse, (_S, _L), optional=0)},
    tags={"fileinto": (Tag("specialuse", _S),)},
)
