"""A header that is changed field by field, as mail filters do it; what is not changed keeps its octets."""

import re

from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import pieces

_NAME = re.compile(rb"[!-9;-~]{1,200}")
_BREAK = re.compile(rb"\r\n|\r|\n")
VALUE_LIMIT = 65536  # octets


class EditedHeader:
    """`top`: fields that stand above those of the message; what is inserted above or among them stays with them."""

    def __init__(self, top: bytes, header: bytes) -> None:
        above = pieces(top)
        self._pieces = above + pieces(header)
        self._above = len(above)

    def fields(self) -> list[tuple[bytes, bytes]]:
        """(name, value with what stands behind the colon, its lines parted by LF alone), in order."""
        found = []
        for name, raw in self._pieces:
            if name is not None:
                value = raw.partition(b":")[2].replace(b"\r\n", b"\n")
                found.append((name, value.removesuffix(b"\n")))
        return found

    def parts(self) -> tuple[bytes, bytes]:
        """(the top, the header)."""
        raws = [raw for _, raw in self._pieces]
        return b"".join(raws[: self._above]), b"".join(raws[self._above :])

    def add(self, name: bytes, value: bytes) -> None:
        """Below all. Raises SyntaxProblem for what is no field, like those that follow."""
        self._put(self._end(), name, value)

    def insert(self, above: int, name: bytes, value: bytes) -> None:
        """With so many fields above it; where there are less, below all."""
        places = [place for place, (other, _) in enumerate(self._pieces) if other is not None]
        place = places[above] if above < len(places) else self._end()
        self._put(place, name, value)

    def change(self, index: int, name: bytes, value: bytes) -> None:
        """The `index`th field of that name, from 1 on; added where there is none. Without a value it is taken out."""
        places = [place for place, (other, _) in enumerate(self._pieces) if other is not None and other.lower() == name.lower()]
        if not 0 < index <= len(places):
            if value:
                self.add(name, value)
            return
        place = places[index - 1]
        if value:
            self._pieces[place] = name, field(name, value)
            return
        del self._pieces[place]
        if place < self._above:
            self._above -= 1

    def _end(self) -> int:
        """The place of the blank line."""
        last = len(self._pieces)
        while last > self._above and self._pieces[last - 1][0] is None and not self._pieces[last - 1][1].strip(b"\r\n"):
            last -= 1
        return last

    def _put(self, place: int, name: bytes, value: bytes) -> None:
        raw = field(name, value)
        if place and not self._pieces[place - 1][1].endswith(b"\n"):
            other, before = self._pieces[place - 1]
            self._pieces[place - 1] = other, before + b"\r\n"
        self._pieces.insert(place, (name, raw))
        if place < self._above or (place == 0 and self._above == 0):
            self._above += 1


def field(name: bytes, value: bytes) -> bytes:
    """A field of a value that starts right behind the colon; its lines may be parted by LF. Raises SyntaxProblem."""
    if _NAME.fullmatch(name) is None:
        raise SyntaxProblem("a field's name that is none")
    lines = _BREAK.split(value.rstrip(b"\r\n"))
    if len(value) > VALUE_LIMIT or b"\0" in value or any(not line.strip() or line[:1] not in b" \t" for line in lines[1:]):
        raise SyntaxProblem("a field's value that would end it")
    return name + b":" + b"\r\n".join(lines) + b"\r\n"
