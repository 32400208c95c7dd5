"""rspamd over HTTP: one message to /checkv2, one answer in JSON."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from mailstack.net.http import Asking, HttpProblem, ask

SYMBOLS_SHOWN = 6
DEFAULT_THRESHOLD = 6.0  # its own default for "add header"


@dataclass(frozen=True, slots=True)
class RspamdResult:
    """`threshold`: the score from which on it would mark a message as unwanted."""

    score: float
    threshold: float
    action: str
    symbols: tuple[tuple[str, float], ...]  # the weightiest


@dataclass(frozen=True, slots=True)
class RspamdQuestion:
    peer: str
    helo: str
    sender: str
    recipients: Sequence[str]
    id: str
    name: str | None = None  # of the peer


async def check(url: str, context: ssl.SSLContext, message: bytes, question: RspamdQuestion) -> RspamdResult:
    """Raises HttpProblem for no answer, and for one that makes no sense."""
    headers = [("IP", question.peer), ("Helo", question.helo), ("From", question.sender), ("Queue-Id", question.id)]
    headers += [("Rcpt", one) for one in question.recipients]
    if question.name:
        headers.append(("Hostname", question.name))
    asking = Asking(headers=tuple((name, _plain(value)) for name, value in headers if value), octets=message)
    answer = await ask(f"{url.rstrip('/')}/checkv2", context, asking)
    if answer.status != 200:
        raise HttpProblem(f"status {answer.status}")
    try:
        return _read(orjson.loads(answer.body))
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        raise HttpProblem("not an answer of rspamd") from problem


def _read(values: dict[str, Any]) -> RspamdResult:
    weights = {name: float(one.get("score", 0.0)) for name, one in values["symbols"].items()}
    weightiest = sorted(weights.items(), key=lambda one: -abs(one[1]))[:SYMBOLS_SHOWN]
    threshold = (values.get("thresholds") or {}).get("add header") or DEFAULT_THRESHOLD
    symbols = tuple(one for one in weightiest if one[1])
    return RspamdResult(float(values["score"]), float(threshold), str(values["action"]), symbols)


def _plain(value: str) -> str:
    """What fits into a header of HTTP: nobody writes one of his own."""
    return "".join(character if " " <= character <= "~" else "?" for character in value)[:500]
