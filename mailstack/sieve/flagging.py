"""IMAP flags of a message as scripts change them (RFC 5232)."""

import re
from collections.abc import Callable, Iterable

from mailstack.sieve.actions import Flags
from mailstack.sieve.bound import Bound
from mailstack.sieve.state import Run

_SYSTEM = {flag.lower(): flag for flag in ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft")}
_KEYWORD = re.compile(r"[^\x00-\x20\x7f-\U0010ffff(){%*\"\\\]]+")  # RFC 9051 9: flag-keyword
KEYWORD_LENGTH = 100
MOST = 64


def read_flags(texts: Iterable[str]) -> tuple[str, ...]:
    """The flags of strings, each one flag or several with blanks between them; what is no flag is left out (RFC 5232 2)."""
    found: dict[str, str] = {}
    for text in texts:
        for word in text.split():
            flag = _SYSTEM.get(word.lower(), word)
            if flag in _SYSTEM.values() or (_KEYWORD.fullmatch(word) and len(word) <= KEYWORD_LENGTH):
                found.setdefault(flag.lower(), flag)
    return tuple(list(found.values())[:MOST])


def _current(run: Run) -> Flags:
    return run.flags


def flags_of(bound: Bound) -> Callable[[Run], Flags]:
    """What an action gives its message: the flags behind :flags, else the variable's (RFC 5232 5)."""
    if bound.has("flags"):
        texts = bound.texts("flags")
        return lambda run: read_flags(texts(run))
    return _current
