"""UIDs of another server's folder: `dovecot-uidlist` (versions 1 and 3) and Courier's `courierimapuiddb` (as version 1).

A list says which UID the message of a file has: `<uid> [<letter><value> ...] :<base>`, below `3 V<validity> N<next> G<guid>`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

DOVECOT = "dovecot-uidlist"
COURIER = "courierimapuiddb"
LARGEST = (1 << 32) - 1  # RFC 9051 2.3.1.1
_GUID = re.compile(rb"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a list says of one message."""

    uid: int
    guid: str | None = None  # Dovecot's, where it is not the file's name: a copy keeps that of its original


@dataclass(slots=True)
class UidList:
    """Of one folder. `messages`: the part of a file's name before `:`, to what is known of it."""

    uid_validity: int
    uid_next: int
    guid: str | None = None
    messages: dict[bytes, Listed] = field(default_factory=dict)


def parse(data: bytes) -> UidList | None:
    """A list, None when this is none. Lines that make no sense are left out, as Dovecot does."""
    header, _, body = data.partition(b"\n")
    found = _header(header.split())
    if found is None:
        return None
    taken: set[int] = set()
    for line in body.split(b"\n"):
        read = _line(line, plain=header.startswith(b"1 "))
        if read is None or read[1].uid in taken:
            continue
        taken.add(read[1].uid)
        found.messages[read[0]] = read[1]
        found.uid_next = max(found.uid_next, read[1].uid + 1)
    return found


def _header(words: list[bytes]) -> UidList | None:
    if len(words) == 3 and words[0] == b"1" and words[1].isdigit() and words[2].isdigit():
        return _sound(int(words[1]), int(words[2]), None)
    if not words or words[0] != b"3":
        return None
    fields = {word[:1]: word[1:] for word in words[1:]}
    validity, uid_next = fields.get(b"V", b""), fields.get(b"N", b"")
    if not validity.isdigit() or not uid_next.isdigit():
        return None
    guid = fields.get(b"G", b"")
    return _sound(int(validity), int(uid_next), guid.decode() if _GUID.fullmatch(guid) else None)


def _sound(validity: int, uid_next: int, guid: str | None) -> UidList | None:
    if not 0 < validity <= LARGEST or not 0 < uid_next <= LARGEST:
        return None
    return UidList(validity, uid_next, guid)


def _line(line: bytes, *, plain: bool) -> tuple[bytes, Listed] | None:
    number, _, rest = line.partition(b" ")
    if not number.isdigit() or len(number) > 10 or not 0 < int(number) < LARGEST or not rest:
        return None
    guid = None
    if not plain:
        if rest.startswith(b":"):
            words, rest = b"", rest[1:]
        else:
            words, _, rest = rest.partition(b" :")
        for word in words.split(b" "):
            if word[:1] == b"G" and _GUID.fullmatch(word[1:]):
                guid = word[1:].decode()
    base = rest.partition(b":")[0]
    return (base, Listed(int(number), guid)) if base and b"/" not in base else None


def read(folder: Path) -> UidList | None:
    """A folder's list, Dovecot's before Courier's. Raises OSError when it is there and can't be read."""
    for name in (DOVECOT, COURIER):
        try:
            found = parse((folder / name).read_bytes())
        except FileNotFoundError:
            continue
        if found is not None:
            return found
    return None


def compose(found: UidList, bases: Iterable[tuple[int, bytes]]) -> bytes:
    """A list as Dovecot reads it, of (UID, base) in the order of UIDs."""
    guid = f" G{found.guid}" if found.guid else ""
    lines = [f"3 V{found.uid_validity} N{found.uid_next}{guid}\n".encode()]
    lines += [b"%d :%s\n" % (uid, base) for uid, base in bases]
    return b"".join(lines)
