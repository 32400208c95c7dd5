"""Rules about the header: what every mail program writes, and hasty ones forget or write twice (RFC 5322 3.6)."""

import re
from email.utils import mktime_tz, parsedate_tz

from mailstack.message.header import first
from mailstack.policy.spam.facts import Facts

DAY = 86400
EARLY, LATE = 2 * DAY, 60 * DAY  # how far a Date may be from now
_MESSAGE_ID = re.compile(rb"<[^<>@\s]+@[^<>@\s]+>")
_ADDRESS = re.compile(r"[\w.+-]+@((?:[\w-]+\.)+[a-z]{2,})", re.IGNORECASE)


def no_from(facts: Facts) -> str | None:
    return None if any(one.address is not None for one in facts.authors) else "has no address in From"


def several_from(facts: Facts) -> str | None:
    return "has several From fields" if facts.count(b"from") > 1 else None


def no_date(facts: Facts) -> str | None:
    return "has no Date" if first(facts.header, b"date") is None else None


def odd_date(facts: Facts) -> str | None:
    value = first(facts.header, b"date")
    if value is None or not facts.now:
        return None
    try:
        parsed = parsedate_tz(value[:100].decode("ascii", "replace"))
        sent = mktime_tz(parsed) if parsed is not None else None
    except (ValueError, OverflowError, TypeError, IndexError):
        sent = None
    if sent is None:
        return "has a Date that is none"
    if sent > facts.now + EARLY:
        return "is dated in the future"
    return "is dated long ago" if sent < facts.now - LATE else None


def no_message_id(facts: Facts) -> str | None:
    return "has no Message-ID" if first(facts.header, b"message-id") is None else None


def bad_message_id(facts: Facts) -> str | None:
    value = first(facts.header, b"message-id")
    if value is None or _MESSAGE_ID.fullmatch(value[:1000]):
        return None
    return "has a Message-ID that is none"


def several_subjects(facts: Facts) -> str | None:
    return "has several Subject fields" if facts.count(b"subject") > 1 else None


def no_recipients(facts: Facts) -> str | None:
    return None if any(first(facts.header, name) is not None for name in (b"to", b"cc")) else "names nobody in To or Cc"


def name_is_another_address(facts: Facts) -> str | None:
    """ "service@bank.example" <x@elsewhere.example>: many readers see the name alone."""
    for one in facts.authors:
        found = _ADDRESS.search(one.name[:200])
        if found is not None and not _related(found[1].lower(), one.domain.lower()):
            return f"is from {one.local}@{one.domain}, whose name is {found[0]}"[:120]
    return None


def _related(one: str, other: str) -> bool:
    return one == other or one.endswith(f".{other}") or other.endswith(f".{one}")
