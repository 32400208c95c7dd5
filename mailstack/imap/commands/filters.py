"""FILTER (RFC 5466): searches that are kept under a name, as annotations of the server."""

from __future__ import annotations

from collections.abc import Mapping

from mailstack.imap.answers import bad, no
from mailstack.imap.session import Session
from mailstack.imap.uidonly import has_numbers
from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import search as s
from mailstack.wire.imap.framing import CommandLine
from mailstack.wire.imap.scanner import Scanner
from mailstack.wire.imap.search_grammar import KEY_LIMIT, criteria

VALUES = "filters/values/"
DEPTH = 8  # of filters that name others (RFC 5466 3.1 wants 3)


async def expanded(session: Session, key: s.Key) -> s.Key:
    """The key with what its filters stand for. Raises NO [UNDEFINED-FILTER] for one that is not there, or names itself."""
    if not any(isinstance(one, s.Filter) for one in s.every(key)):
        return key
    annotations = (await session.mail.annotations([""]))[0]
    key = _expanded(key, {name.lower(): value for name, value in annotations.items()}, ())
    if sum(1 for _ in s.every(key)) > KEY_LIMIT:
        raise no("The filters together are too long", "LIMIT")
    if "UIDONLY" in session.enabled and has_numbers(key):
        raise bad("Only UIDs are possible after ENABLE UIDONLY", "UIDREQUIRED")
    return key


def _expanded(key: s.Key, annotations: Mapping[str, bytes], inside: tuple[str, ...]) -> s.Key:
    def change(one: s.Key) -> s.Key:
        if not isinstance(one, s.Filter):
            return one
        name = one.name.lower()
        value = annotations.get(f"/private/{VALUES}{name}", annotations.get(f"/shared/{VALUES}{name}"))
        found = None if value is None or name in inside or len(inside) >= DEPTH else _read(value)
        if found is None:
            raise no("There is no such filter, or it can't be used", f"UNDEFINED-FILTER {one.name}")
        return _expanded(found, annotations, (*inside, name))

    return s.replaced(key, change)


def require_valid(changes: Mapping[str, bytes | None]) -> None:
    """RFC 5466 3.2: what is kept as a filter is a search."""
    for name, value in changes.items():
        _, _, rest = name.lower().partition("/" + VALUES)
        if rest and value is not None and ("/" in rest or _read(value) is None):
            raise no("A filter is a name with a search", "CANNOT")


def _read(value: bytes) -> s.Key | None:
    try:
        return criteria(Scanner(CommandLine((value,))))
    except SyntaxProblem:
        return None
