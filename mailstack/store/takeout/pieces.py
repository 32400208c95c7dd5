"""What a takeout is made of, piece after piece: JSON lines between the server, which knows, and the one that writes."""

import datetime
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from mailstack.store.fulltext.questions import File

FORMAT, VERSION = "mailstack-takeout", 1
_NO_PART = re.compile(r"[\x00-\x1f\x7f\\:*?\"<>|%/]")


class Head(msgspec.Struct, frozen=True, tag="head", array_like=True):
    """The first piece. `root`: the account's Maildir; `about` goes into the manifest as it is."""

    root: str
    about: dict[str, Any]


class Script(msgspec.Struct, frozen=True, tag="script", array_like=True):
    """A Sieve script."""

    name: str
    active: bool
    source: bytes


class Box(msgspec.Struct, frozen=True, tag="box", array_like=True):
    """A mailbox; its messages come after it."""

    name: str
    special_use: str | None
    subscribed: bool
    uid_validity: int
    messages: int


class Letter(msgspec.Struct, frozen=True, tag="letter", array_like=True):
    """A message. `path` is below the Maildir, as octets that stand for characters; `date` is INTERNALDATE."""

    uid: int
    path: str
    convert: bool
    date: int
    flags: list[str]

    @property
    def file(self) -> File:
        return File(self.uid, self.path.encode("latin-1"), self.convert)


Piece = Head | Script | Box | Letter
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[Piece])


def encode(pieces: Iterable[Piece]) -> bytes:
    """One line."""
    return _encoder.encode(list(pieces)) + b"\n"


def decode(line: bytes) -> list[Piece]:
    return _decoder.decode(line)


def lines(stream: Iterable[bytes]) -> Iterator[Piece]:
    for line in stream:
        yield from decode(line)


# Names in the zip -----------------------------------------------------------------------------------------------------


def folder_of(mailbox: str) -> str:
    """A mailbox's folder: its name, where any system can have such a folder; else with percent signs, as in URLs."""
    return "mail/" + "/".join(_part(part) for part in mailbox.split("/"))


def script_file(name: str) -> str:
    return f"sieve/{_part(name)}.sieve"


def _part(text: str) -> str:
    text = _NO_PART.sub(lambda found: f"%{ord(found[0]):02X}", text)
    if text.endswith((".", " ")) or text.lower().endswith(".eml"):
        # No file of Windows ends so; and a folder must not be taken for a message.
        place = text.rindex(".") if text.lower().endswith(".eml") else len(text) - 1
        text = f"{text[:place]}%{ord(text[place]):02X}{text[place + 1 :]}"
    return text or "%"


def moment(seconds: float) -> str:
    """RFC 3339, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
