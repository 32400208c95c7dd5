"""Mail filters of others (milters): asked about a whole message after the final dot, one after the other."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

from mailstack.log import get_logger
from mailstack.message.editing import EditedHeader
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import remove_fields
from mailstack.net import milter
from mailstack.net.milter import Answer, Change, MilterProblem, Question
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept, Defer, Reject, defer
from mailstack.store.content import Content
from mailstack.store.trace import Trace
from mailstack.wire.milter import CHUNK, Actions, AddHeader, ChangeHeader, InsertHeader, Quarantine, Word
from mailstack.wire.smtp import Reply, ReplyParser

HEADER_LIMIT = 1 << 20
IN_A_THREAD = 65536  # octets of a header that is taken apart elsewhere
# Recipients, sender and body are not theirs to change, so none of that is offered.
SUBMISSION = Actions.ADD_HEADERS | Actions.CHANGE_HEADERS
INBOUND = SUBMISSION | Actions.QUARANTINE  # Junk is for mail that comes from outside
_REASON = re.compile(r"[^ -~]+")
log = get_logger()
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MilterSettings:
    """`addresses`: as net/milter.ask() takes them. `defers`: without an answer, the sender is to come again."""

    addresses: tuple[str, ...] = ()
    seconds: float = 30.0
    defers: bool = True


@dataclass(frozen=True, slots=True)
class Filtered:
    """`top` and `header`: as they are to be now. `quarantine`: why it is to be kept apart."""

    top: bytes
    header: bytes
    quarantine: str | None = None

    def into(self, accept: Accept) -> Accept:
        """The same verdict, with what they changed: nothing else is to be put in front or left out of the message."""
        return replace(accept, top=self.top, header=self.header, prefix=b"", without=frozenset(), left_out=frozenset())


class Milters:
    """Those of one door."""

    def __init__(self, hostname: str, trace: Trace, offers: Actions, settings: MilterSettings) -> None:
        self._hostname = hostname
        self._trace = trace
        self._offers = offers
        self.settings = settings

    async def ask(self, transaction: Transaction, content: Content, shape: Accept) -> Filtered | Reject | Defer | None:
        """`shape`: the message as we would take it, which is what they see. None: there are none, or nobody changed anything.

        Without an answer of one the message goes on without it, or waits with its sender: it is never lost.
        """
        settings = self.settings
        if not settings.addresses:
            return None
        header = content.header(HEADER_LIMIT)
        large = len(header) > IN_A_THREAD
        edited = await _worked(large, _shown, header, shape)
        changed, quarantine = False, None
        for address in settings.addresses:
            fields = await _worked(large, edited.fields)
            question = self._question(transaction, fields, content, len(header))
            try:
                answer = await milter.ask(address, question, self._offers, settings.seconds)
                verdict = _verdict(answer, transaction.id)
                if verdict is None:
                    edited = await _worked(large, _changed, edited, answer.changes)
            except (MilterProblem, SyntaxProblem) as problem:
                log.warning("milter.failed", id=transaction.id, milter=address, problem=str(problem))
                self._trace.record(transaction.id, "milter", milter=address, problem=str(problem))
                if settings.defers:
                    return defer(451, "4.7.1", "The message can't be looked at now; try again later", "milter-failed")
                continue
            self._tell(transaction, address, answer, verdict)
            if verdict is not None:
                return verdict
            changed = changed or bool(answer.changes)
            reasons = [one.reason for one in answer.changes if isinstance(one, Quarantine)]
            if reasons:
                quarantine = _REASON.sub("?", reasons[0].decode("ascii", "replace"))[:200] or "a milter wants it so"
        return Filtered(*edited.parts(), quarantine) if changed else None

    def _question(
        self, transaction: Transaction, fields: Sequence[tuple[bytes, bytes]], content: Content, start: int
    ) -> Question:
        known = transaction.authentication
        return Question(
            hostname=self._hostname,
            peer=transaction.peer if transaction.peer_known else None,
            peer_name=known.iprev.name if known is not None else None,
            helo=transaction.helo,
            sender=str(transaction.sender) if transaction.sender is not None else "",
            recipients=[str(recipient.address) for recipient, _ in transaction.recipients],
            id=transaction.id,
            account=transaction.account.address if transaction.account is not None else None,
            mechanism=transaction.mechanism,
            tls=transaction.tls,
            fields=fields,
            blocks=content.chunks(CHUNK, start),
        )

    def _tell(self, transaction: Transaction, address: str, answer: Answer, verdict: Reject | Defer | None) -> None:
        reply = str(verdict.reply) if verdict is not None else None
        changes = [_words(one) for one in answer.changes] if verdict is None else []
        self._trace.record(transaction.id, "milter", milter=address, reply=reply, changes=changes)
        log.info("milter.answered", id=transaction.id, milter=address, reply=reply, changes=len(changes))


async def _worked(large: bool, work: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """Large headers are taken apart where that holds up nobody."""
    return await asyncio.to_thread(work, *arguments, **more) if large else work(*arguments, **more)


def _shown(header: bytes, shape: Accept) -> EditedHeader:
    return EditedHeader(shape.top, shape.prefix + remove_fields(header, shape.without, shape.left_out))


def _verdict(answer: Answer, id: str) -> Reject | Defer | None:
    """None: it lets the message go on. Raises SyntaxProblem."""
    if answer.reply is not None:
        reply = _reply(answer.reply)
        return Reject(reply, "milter") if reply.permanent else Defer(reply, "milter")
    if answer.word is Word.TEMPFAIL:
        return defer(451, "4.7.1", f"A mail filter asks to try again later ({id})", "milter")
    if answer.word in (Word.REJECT, Word.DISCARD):
        # To say 250 and throw it away would be to lose what was acknowledged.
        return Reject(Reply(550, "5.7.1", f"A mail filter refuses this message ({id})"), "milter")
    return None


def _reply(text: bytes) -> Reply:
    """Its own words, in one line. Raises SyntaxProblem."""
    parser, reply = ReplyParser(), None
    for line in text.replace(b"%%", b"%").rstrip(b"\r\n").split(b"\n"):
        reply = parser.line(line)
    if reply is None or not 400 <= reply.code < 600:
        raise SyntaxProblem("a milter's reply that refuses nothing")
    words = _REASON.sub(" ", reply.text.replace("\n", " "))[:400].strip() or "A mail filter refuses this message"
    # 421 would say that we hang up.
    return Reply(451 if reply.code == 421 else reply.code, reply.enhanced, words)


def _changed(edited: EditedHeader, changes: Sequence[Change]) -> EditedHeader:
    """With all of them, or none. Raises SyntaxProblem."""
    found = EditedHeader(*edited.parts()) if changes else edited
    for change in changes:
        match change:
            case AddHeader(name, value):
                found.add(name, value)
            case InsertHeader(index, name, value):
                found.insert(max(index - 1, 0), name, value)
            case ChangeHeader(index, name, value):
                found.change(index, name, value)
    return found


def _words(change: Change) -> str:
    """For people."""
    if isinstance(change, Quarantine):
        return f"quarantine: {change.reason.decode('utf-8', 'replace')[:200]}"
    name = change.name.decode("ascii", "replace")
    if isinstance(change, ChangeHeader):
        return f"{'changed' if change.value else 'removed'} {name}"
    return f"added {name}"
