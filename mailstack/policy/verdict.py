"""Yes, later, or no: with the reply that says so, and one stable word for log and metrics."""

from dataclasses import dataclass

from mailstack.wire.smtp import Reply


@dataclass(frozen=True, slots=True)
class Accept:
    """`prefix`: header fields to put in front. `without`: fields of the message to leave out, lower case."""

    prefix: bytes = b""
    without: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Defer:
    reply: Reply
    reason: str


@dataclass(frozen=True, slots=True)
class Reject:
    reply: Reply
    reason: str


Verdict = Accept | Defer | Reject
YES = Accept()


def reject(code: int, enhanced: str, text: str, reason: str) -> Reject:
    return Reject(Reply(code, enhanced, text), reason)


def defer(code: int, enhanced: str, text: str, reason: str) -> Defer:
    return Defer(Reply(code, enhanced, text), reason)
