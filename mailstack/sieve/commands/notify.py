"""notify and its tests (RFC 5435), by mail (RFC 5436)."""

from urllib.parse import quote

from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import addresses
from mailstack.sieve.actions import Notify
from mailstack.sieve.answering import is_automatic, own_author
from mailstack.sieve.bound import Bound
from mailstack.sieve.commands.core import address
from mailstack.sieve.extension import Command, Extension, Kind, Modifier, Tag, Test
from mailstack.sieve.mailto import Mailto, parse_mailto
from mailstack.sieve.matching import checked
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check, Step

_IMPORTANCE = ("1", "2", "3")
TEXT_LENGTH = 4096


def _method(uri: str, line: int) -> Mailto:
    try:
        return parse_mailto(uri)
    except SyntaxProblem as problem:
        raise SieveProblem(line, f"notify: {uri[:100]!r} can't be used: {problem.reason}") from None


def _author(text: str, line: int) -> str:
    found = addresses(text.encode())
    if len(found) != 1:
        raise SieveProblem(line, f"notify: {text[:100]!r} is no mail address")
    address(f"{found[0].local}@{found[0].domain}", line)
    return text


def _notify(bound: Bound) -> Step:
    line, method, message = bound.line, bound.text(0), bound.text_or("message", "")
    author, importance = bound.text_or("from", ""), bound.text_or("importance", "2")
    if method.constant is not None:
        _method(method.constant, line)
    if author.constant:
        _author(author.constant, line)
    if importance.constant is not None and importance.constant not in _IMPORTANCE:
        raise bound.problem('\':importance\' is "1", "2" or "3"')

    def notify(run: Run) -> None:
        to, sender, level = _method(method(run), line), author(run), importance(run)
        if is_automatic(run):
            run.tell(line, "no notice: it was sent by a program (Auto-Submitted)")  # RFC 5436 2.7.1
            return
        subject, text = _words(run, to, message(run))
        run.act(
            Notify(
                line,
                to.to,
                own_author(run, line, _author(sender, line), str(run.environment.recipient)) if sender else "",
                subject,
                text,
                int(level) if level in _IMPORTANCE else 2,
                to.fields,
                to.cc,
                to.bcc,
            )
        )

    return notify


def _words(run: Run, to: Mailto, message: str) -> tuple[str, str]:
    """Subject and text of the notice (RFC 5436 2.3, 2.7)."""
    about = " ".join(run.original.header.texts("subject"))[:200]
    subject = " ".join(message.split())[:200] or to.subject or (f"Notification: {about}" if about else "Notification")
    if to.body is not None:
        return subject, to.body[:TEXT_LENGTH]
    sender = " ".join(run.original.header.texts("from"))[:200]
    return subject, message[:TEXT_LENGTH] or f"A message has arrived.\r\nFrom: {sender}\r\nSubject: {about}\r\n"


def _valid(bound: Bound) -> Check:
    uris = bound.texts(0)

    def valid(run: Run) -> bool:
        return all(_is_valid(uri) for uri in uris(run))

    return valid


def _is_valid(uri: str) -> bool:
    try:
        parse_mailto(uri)
    except SyntaxProblem:
        return False
    return True


def _capability(bound: Bound) -> Check:
    uri, capability = bound.text(0), bound.text(1)

    def values(run: Run) -> tuple[str, ...]:
        # RFC 5436 2.5: of whoever reads mail nobody knows whether they do.
        return ("maybe",) if _is_valid(uri(run)) and capability(run).lower() == "online" else ()

    return checked(values, bound.match())


def _url(text: str) -> str:
    return quote(text, safe="-._~", errors="replace")


_S = Kind.STRING
EXTENSION = Extension(
    "enotify",
    commands={
        "notify": Command(
            _notify,
            (_S,),
            (Tag("from", _S), Tag("importance", _S), Tag("options", Kind.STRINGS), Tag("message", _S)),
        )
    },
    tests={
        "valid_notify_method": Test(_valid, (Kind.STRINGS,)),
        "notify_method_capability": Test(_capability, (_S, _S, Kind.STRINGS), matches=True),
    },
    modifiers={"encodeurl": Modifier(15, _url)},
)
