"""What was found about a message for one account: the evidence, its sum, and where that leads.

The same evidence stands in one header field of the account's copy and on the trace (docs/trace.md, event `judged`).
"""

import re
from dataclasses import dataclass
from typing import Any

from mailstack.message.header import first

FIELD = b"X-Spam-Status"
# Fields that clients and scripts believe: those that come from outside are none of ours, and are left out.
FORGEABLE = frozenset({FIELD.lower(), b"x-spam-flag", b"x-spam-level", b"x-spam-score", b"x-spam", b"x-spam-bar"})
LOOKED_THROUGH = "clamd"  # the rule of a message in which no virus was found; one that has some is never kept
LINE = 100  # octets after which the field is folded
_FIELD = re.compile(r"(Yes|No), score=(-?[0-9.]+)(?: required=([0-9.]+))?(?: tests=\[(.*)\])?")
_TEST = re.compile(r"([a-z0-9.:_-]+)=(-?[0-9.]+)")


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that applies. `weight` is what it adds to the score, less than nothing for what speaks for the sender."""

    rule: str  # lower case, digits, and . : _ -
    weight: float
    text: str  # for people: what was seen


@dataclass(frozen=True, slots=True)
class Judgement:
    """The sum of the findings, and whether the message belongs into Junk."""

    score: float
    findings: tuple[Finding, ...] = ()
    junk: bool = False
    required: float = 5.0  # the score of Junk

    @property
    def looked_through(self) -> bool:
        """Whether somebody looked for viruses, and found none."""
        return any(one.rule == LOOKED_THROUGH for one in self.findings)

    def fields(self) -> dict[str, Any]:
        """For the trace."""
        findings = [[one.rule, round(one.weight, 2), one.text] for one in self.findings]
        return {"score": round(self.score, 2), "required": self.required, "junk": self.junk, "findings": findings}


def evidence(judgement: Judgement) -> bytes:
    """The header field of an account's copy, in the form that SpamAssassin made known."""
    answer = "Yes" if judgement.junk else "No"
    line = f"X-Spam-Status: {answer}, score={judgement.score:.1f} required={judgement.required:.1f} tests=["
    lines = []
    for number, finding in enumerate(judgement.findings):
        piece = f"{finding.rule}={finding.weight:.1f}"
        if number:
            line += ","
        if len(line) + len(piece) > LINE:
            lines.append(line)
            line = ""
        line += f" {piece}" if number else piece
    lines.append(f"{line}]\r\n")
    return "\r\n".join(one if not number else f" {one.lstrip()}" for number, one in enumerate(lines)).encode("ascii")


def read_evidence(header: bytes) -> Judgement | None:
    """What evidence() wrote, of a message that comes out of our own queue; the texts are on the trace only."""
    value = first(header, FIELD)
    found = _FIELD.fullmatch(value.decode("ascii", "replace")) if value is not None else None
    if found is None:
        return None
    try:
        findings = tuple(Finding(rule, float(weight), "") for rule, weight in _TEST.findall(found[4] or ""))
        return Judgement(float(found[2]), findings, found[1] == "Yes", float(found[3] or 5))
    except ValueError:
        return None
