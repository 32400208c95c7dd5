"""vacation (RFC 5230), with :seconds (RFC 6131)."""

import hashlib
import re

from mailstack.message.header import addresses, decode_words
from mailstack.sieve.actions import Respond
from mailstack.sieve.answering import is_own, own_address, own_author, silence
from mailstack.sieve.bound import Bound
from mailstack.sieve.commands.core import address
from mailstack.sieve.extension import Command, Extension, Kind, Tag
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.questions import AnsweredRecently, Asks
from mailstack.sieve.state import Run
from mailstack.sieve.step import Asking

DEFAULT_DAYS = 7
MOST_SECONDS = 365 * 86400
SUBJECT_LENGTH = 200
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,250}>")
MOST_REFERENCES = 20


def _seconds(bound: Bound) -> int:
    """The time between two answers to one sender, within what is allowed (RFC 5230 4.1, RFC 6131 2)."""
    if bound.has("seconds"):
        least, seconds = bound.limits.vacation_seconds, bound.number("seconds")
        return min(max(seconds, least), MOST_SECONDS)
    days = bound.number("days") if bound.has("days") else DEFAULT_DAYS
    return min(max(days, 1) * 86400, MOST_SECONDS)


class _Vacation:
    """One vacation command."""

    def __init__(self, bound: Bound) -> None:
        self.line = bound.line
        self.reason = bound.text(0)
        self.mime = bound.has("mime")
        self.seconds = _seconds(bound)
        self.subject = bound.text("subject") if bound.has("subject") else None
        self.author = bound.text_or("from", "")
        self.addresses = bound.texts("addresses") if bound.has("addresses") else None
        self.handle = bound.text("handle") if bound.has("handle") else None
        if self.author.constant:
            self._sender(self.author.constant)
        if self.mime and self.reason.constant is not None:
            self._mime(self.reason.constant)

    def _sender(self, author: str) -> str:
        found = addresses(author.encode())
        if len(found) != 1:
            raise SieveProblem(self.line, f"vacation: {author[:100]!r} is no mail address")
        return address(f"{found[0].local}@{found[0].domain}", self.line)

    def _mime(self, reason: str) -> str:
        if re.match(r"(?:[!-9;-~]+[ \t]*:|\r\n)", reason) is None:
            raise SieveProblem(self.line, "vacation: the text behind :mime begins with no header")
        return reason

    def go(self, run: Run) -> Asks[None]:
        run.line = self.line
        if run.responded:
            raise SieveProblem(self.line, "vacation stands for the second time")  # RFC 5230 4.7
        run.responded = True
        found = self._respond(run)
        if isinstance(found, str):
            run.tell(self.line, f"no answer: {found}")
        elif (yield from run.ask(AnsweredRecently(found.handle, found.to.lower(), found.seconds))):
            run.tell(self.line, f"no answer: {found.to} got one lately")
        else:
            run.act(found)

    def _respond(self, run: Run) -> Respond | str:
        """The answer, or why there is none."""
        why = silence(run)
        sender = run.environment.sender
        if why is not None or sender is None:
            return why or "the sender is empty"
        further = self.addresses(run) if self.addresses else ()
        if is_own(run, sender, further):
            return "the sender is the user"
        mine = own_address(run, further)
        if mine is None:
            return "no address of the user's is among its recipients"
        author, reason = self.author(run), self.reason(run)
        if author:
            self._sender(author)
            author = own_author(run, self.line, author, mine)
        subject = self.subject(run) if self.subject is not None else _subject(run)
        handle = self.handle(run) if self.handle is not None else _digest(subject if self.subject else "", author, reason)
        return Respond(
            self.line,
            str(sender),
            self._sender(author) if author else mine,
            author,
            " ".join(subject.split())[:SUBJECT_LENGTH],
            self._mime(reason) if self.mime else reason,
            self.mime,
            handle[:SUBJECT_LENGTH],
            self.seconds,
            *_thread(run),
        )


def _subject(run: Run) -> str:
    """RFC 5230 4.3."""
    subject = next(iter(run.original.header.values("subject")), b"")
    return f"Auto: {decode_words(subject)}" if subject.strip() else "Automated reply"


def _digest(*pieces: str) -> str:
    """A handle for what a script says in the same words (RFC 5230 4.2)."""
    return hashlib.sha256("\0".join(pieces).encode("utf-8", "replace")).hexdigest()[:32]


def _thread(run: Run) -> tuple[str, str]:
    """In-Reply-To and References of the answer (RFC 5230 5.8)."""
    header = run.original.header
    own = _MESSAGE_ID.findall(" ".join(header.texts("message-id"))[:1000])[:1]
    earlier = _MESSAGE_ID.findall(" ".join(header.texts("references") or header.texts("in-reply-to"))[:20000])
    if len(earlier) > MOST_REFERENCES:
        earlier = [earlier[0], *earlier[1 - MOST_REFERENCES :]]
    return "".join(own), " ".join([*earlier, *own])


_TAGS = (
    Tag("days", Kind.NUMBER, "time"),
    Tag("subject", Kind.STRING),
    Tag("from", Kind.STRING),
    Tag("addresses", Kind.STRINGS),
    Tag("mime"),
    Tag("handle", Kind.STRING),
)
EXTENSION = Extension(
    "vacation", commands={"vacation": Command(lambda bound: Asking(_Vacation(bound).go), (Kind.STRING,), _TAGS)}
)
SECONDS = Extension("vacation-seconds", tags={"vacation": (Tag("seconds", Kind.NUMBER, "time"),)}, includes=("vacation",))
