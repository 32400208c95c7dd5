"""Yes, later, or no: with the reply that says so, and one stable word for log and metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mailstack.policy.judgement import Judgement
from mailstack.wire.smtp import Reply


@dataclass(frozen=True, slots=True)
class Accept:
    """`prefix`: header fields to put in front. `without`: fields of the message to leave out, lower case.

    `top`: fields above our own Received (RFC 8601 4). `left_out`: single fields to leave out, whole, as they came.

    `judgements`: what was found about a message from outside, by the address of the account that gets it.

    `header`: the message's whole header, to be taken instead of its own.
    """

    prefix: bytes = b""
    without: frozenset[bytes] = frozenset()
    top: bytes = b""
    left_out: frozenset[bytes] = frozenset()
    header: bytes | None = None
    judgements: Mapping[str, Judgement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Defer:
    """`judgements`: the evidence, where it was judged."""

    reply: Reply
    reason: str
    judgements: Mapping[str, Judgement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reject:
    """`kept`: by doubt alone; a copy may be kept for those it was for, who may look whether they want it."""

    reply: Reply
    reason: str
    judgements: Mapping[str, Judgement] = field(default_factory=dict)
    kept: bool = False
    top: bytes = b""  # fields for the top of such a copy


Verdict = Accept | Defer | Reject
YES = Accept()


def reject(code: int, enhanced: str, text: str, reason: str) -> Reject:
    return Reject(Reply(code, enhanced, text), reason)


def defer(code: int, enhanced: str, text: str, reason: str) -> Defer:
    return Defer(Reply(code, enhanced, text), reason)
