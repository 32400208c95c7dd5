"""A header as signatures see it: fields by name, the last one first, each taken once (RFC 6376 5.4.2)."""

import re
from collections.abc import Iterable

from mailstack.mailauth.canon import Canon, relaxed

# The value of b=, with the blanks around it (RFC 6376 3.5), but not that of bh=.
_FIRST = re.compile(rb"[^:]*:[ \t\r\n]*b[ \t\r\n]*=")
_LATER = re.compile(rb";[ \t\r\n]*b[ \t\r\n]*=")
_FIELD = re.compile(rb"^(([!-9;-~]+)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*\n?)", re.MULTILINE)


class Fields:
    """The fields of one header; canonical forms are made once, however many signatures there are."""

    def __init__(self, header: bytes) -> None:
        self.by_name: dict[bytes, list[bytes]] = {}
        for raw, name in _FIELD.findall(header):
            self.by_name.setdefault(name.lower(), []).append(raw)
        self._relaxed: dict[bytes, list[bytes]] = {}

    def all(self, name: bytes) -> list[bytes]:
        """Whole fields, from the top, with name and line ends. `name` in lower case."""
        return self.by_name.get(name, [])

    def canonical(self, name: bytes, canon: Canon) -> list[bytes]:
        """All fields of a name, from the top, each with its line end."""
        if canon is Canon.SIMPLE:
            return self.all(name)
        if name not in self._relaxed:
            self._relaxed[name] = [relaxed_field(raw) + b"\r\n" for raw in self.all(name)]
        return self._relaxed[name]

    def chosen(self, names: Iterable[bytes], canon: Canon) -> list[bytes]:
        """The fields that a list in h= means; names without a (further) field mean nothing."""
        taken: dict[bytes, int] = {}
        text = []
        for name in names:
            if name in self.by_name:
                place = taken[name] = taken.get(name, 0) + 1
                found = self.canonical(name, canon)
                if place <= len(found):
                    text.append(found[-place])
        return text


def relaxed_field(raw: bytes) -> bytes:
    """A whole field in relaxed form, without its line end."""
    name, _, value = raw.partition(b":")
    return relaxed(name, value)


def unsigned(raw: bytes, canon: Canon) -> bytes:
    """A signature's own field as it is signed: b= is empty, and no line end follows (RFC 6376 3.7)."""
    found = _FIRST.match(raw) or _LATER.search(raw)
    if found is not None:
        end = raw.find(b";", found.end())
        raw = raw[: found.end()] + (raw[end:] if end >= 0 else b"")
    if canon is Canon.RELAXED:
        return relaxed_field(raw)
    return raw.removesuffix(b"\n").removesuffix(b"\r")
