"""A message as scripts look at it: parsed when it is asked for, and then kept. Several scripts may share one."""

import re
from collections.abc import Callable, Iterable
from functools import cached_property

from mailstack.message.charset import decode
from mailstack.message.header import Mailbox, addresses, decode_words, fields, split_header
from mailstack.message.mime import Part, walk

_FOLD = re.compile(rb"\r?\n[ \t]")


def field_text(value: bytes) -> str:
    """A field's value as scripts see it: decoded, unfolded (a fold is one blank, also where it is a tab), stripped."""
    return decode_words(_FOLD.sub(b" ", value) if b"\n" in value else value)


class Header:
    """The fields of a message as (name in lower case, raw value), in order."""

    __slots__ = ("_addresses", "_texts", "_values", "fields")

    def __init__(self, found: tuple[tuple[str, bytes], ...]) -> None:
        self.fields = found
        self._values: dict[str, tuple[bytes, ...]] | None = None
        self._texts: dict[str, tuple[str, ...]] = {}
        self._addresses: dict[str, tuple[tuple[Mailbox, ...], ...]] = {}

    def values(self, name: str) -> tuple[bytes, ...]:
        """The raw values of all fields of a name, which is in lower case."""
        if self._values is None:
            collected: dict[str, list[bytes]] = {}
            for one, value in self.fields:
                collected.setdefault(one, []).append(value)
            self._values = {one: tuple(values) for one, values in collected.items()}
        return self._values.get(name, ())

    def texts(self, name: str) -> tuple[str, ...]:
        """The values decoded, unfolded and stripped (RFC 5228 2.7.2)."""
        found = self._texts.get(name)
        if found is None:
            found = self._texts[name] = tuple([field_text(value) for value in self.values(name)])
        return found

    def addresses(self, name: str) -> tuple[tuple[Mailbox, ...], ...]:
        """The addresses of each field of a name."""
        found = self._addresses.get(name)
        if found is None:
            found = self._addresses[name] = tuple([tuple(addresses(value)) for value in self.values(name)])
        return found


def read_header(data: bytes) -> Header:
    return Header(tuple([(name.decode("ascii").lower(), value) for name, value in fields(data)]))


class Message:
    """One message."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._kept: dict[str, tuple[str, ...]] = {}

    @property
    def size(self) -> int:
        return len(self.data)

    @cached_property
    def header(self) -> Header:
        """As it came."""
        return read_header(split_header(self.data)[0])

    @cached_property
    def root(self) -> Part:
        """The tree of its parts."""
        return walk(self.data)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """All parts in their order, those of messages inside it too."""
        found: list[Part] = []
        stack = [self.root]
        while stack:
            part = stack.pop()
            found.append(part)
            stack += reversed(part.children)
        return tuple(found)

    def raw_body(self, limit: int) -> str:
        """The body as it came, as text."""
        return self.kept("raw", lambda message: [decode(message.data[self.root.body : self.root.body + limit], None)])[0]

    def kept(self, name: str, find: Callable[["Message"], Iterable[str]]) -> tuple[str, ...]:
        """What `find` finds, worked out once."""
        if name not in self._kept:
            self._kept[name] = tuple(find(self))
        return self._kept[name]
