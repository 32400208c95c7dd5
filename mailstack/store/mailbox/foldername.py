"""Mailbox names as clients see them, and the Maildir++ folders that carry them."""

import sys
import unicodedata

from mailstack.store.errors import NameRefused
from mailstack.wire.imap.mutf7 import decode, encode

SEPARATOR = "/"
INBOX = "INBOX"


def normalise(name: str) -> str:
    """INBOX in any case is INBOX, as a first part too; other names stay as they are (NFC)."""
    first, slash, rest = name.partition(SEPARATOR)
    if first.upper() == INBOX:
        first = INBOX
    return unicodedata.normalize("NFC", first + slash + rest)


def to_folder(name: str) -> str:
    """The folder of a mailbox below the Maildir; the empty string for INBOX. Raises NameRefused."""
    name = normalise(name)
    if name == INBOX:
        return ""
    parts = name.split(SEPARATOR)
    for part in parts:
        if not part or part in (".", ".."):
            raise NameRefused("a part of the name is empty or made of dots")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in part):
            raise NameRefused("control characters")
    folder = "." + ".".join(encode(part).decode("ascii").replace(".", "&AC4-") for part in parts)
    if len(folder) > 255:
        raise NameRefused("the folder's name would be longer than 255 octets")
    return folder


def from_folder(folder: str) -> str | None:
    """The mailbox of a folder, None if the folder is not one that a mailbox can have."""
    if folder == "":
        return INBOX
    if not folder.startswith(".") or folder in (".", ".."):
        return None
    try:
        parts = [decode(part.encode("ascii")) for part in folder[1:].split(".")]
    except (ValueError, UnicodeEncodeError):
        return None
    if any(not part or SEPARATOR in part for part in parts):
        return None
    return sys.intern(SEPARATOR.join(parts))  # thousands of accounts have the same ones
