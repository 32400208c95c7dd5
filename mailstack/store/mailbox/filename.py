"""The name of a message's file: `<time>.<unique>.<host>,S=<size>,W=<size>,M=<uidvalidity>.<uid>:2,<flags>`.

`M` carries our UID. `U` is not used: mbsync and offlineimap write it with a meaning of their own.
"""

import re
from dataclasses import dataclass

_FIELD = re.compile(rb",([A-Z])=([0-9.]+)")
_STEM = re.compile(rb".*?,M=[0-9]+\.[0-9]+(?=,|$)", re.DOTALL)
_TIME = re.compile(rb"([0-9]{1,11})[.]")


@dataclass(frozen=True, slots=True)
class FileName:
    """A name taken apart. `base` is what stays when flags change."""

    base: bytes
    letters: str
    time: int | None = None  # INTERNALDATE, seconds since the epoch
    unique: str | None = None
    size: int | None = None  # octets on disk
    wire_size: int | None = None  # octets with CRLF line ends
    uid_validity: int | None = None
    uid: int | None = None


def split(name: bytes) -> tuple[bytes, str]:
    """Base and flag letters; a name without `:2,` has none."""
    base, found, letters = name.partition(b":2,")
    if not found:
        return name.partition(b":")[0], ""
    return base, letters.partition(b",")[0].decode("ascii", "ignore")


def stem(base: bytes) -> bytes:
    """What stays of our names when other programs write marks of theirs behind (mbsync: `,U=7`); other names are their own."""
    found = _STEM.match(base)
    return found[0] if found is not None else base


def parse(name: bytes) -> FileName:
    """Any file name has a meaning; what is missing is None."""
    base, letters = split(name)
    fields = dict(_FIELD.findall(base))
    start = _TIME.match(base)
    unique = None
    uid_validity = uid = None
    marks = fields.get(b"M", b"").split(b".")
    if len(marks) == 2 and marks[0].isdigit() and marks[1].isdigit():
        uid_validity, uid = int(marks[0]), int(marks[1])
        if not 0 < uid < 1 << 32:
            uid_validity = uid = None
        elif start:
            unique = base[start.end() :].partition(b",")[0].rpartition(b".")[0].decode("ascii", "replace")
    return FileName(
        base=base,
        letters=letters,
        time=int(start[1]) if start else None,
        unique=unique,
        size=_number(fields.get(b"S")),
        wire_size=_number(fields.get(b"W")),
        uid_validity=uid_validity,
        uid=uid,
    )


def _number(text: bytes | None) -> int | None:
    return int(text) if text is not None and text.isdigit() and len(text) < 16 else None


def compose(time: int, unique: str, host: str, size: int, wire_size: int, uid_validity: int, uid: int) -> bytes:
    """The base of a file of ours."""
    return f"{max(0, time)}.{unique}.{host},S={size},W={wire_size},M={uid_validity}.{uid}".encode("ascii")


def email_id(base: bytes) -> bytes:
    """EMAILID (RFC 8474 5.1): the unique part of a name of ours, which copies keep. An object id has no dots (RFC 8474 7)."""
    return unique_of(base).replace(b".", b"_")


def unique_of(name: bytes) -> bytes:
    """The unique part of a name of ours, or of its base."""
    return name.partition(b".")[2].partition(b",")[0].rpartition(b".")[0]


def safe_host(hostname: str) -> str:
    """A host name as it may stand in a file name."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", hostname.partition(".")[0])[:32] or "localhost"


def safe_unique(text: str) -> bool:
    """Whether `text` can be a unique name: what OBJECTID allows, and dots."""
    return re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", text) is not None
