"""Patterns with `*` and `?` (RFC 5228 2.7.1), matched without ever going back."""

import re

_PIECE = re.compile(r"\\(.)|([*?])|([^\\*?]+)|\\", re.DOTALL)


class Segment:
    """What stands between two stars: characters, and places for any one character."""

    __slots__ = ("length", "literal", "pattern")

    def __init__(self, characters: list[str | None]) -> None:
        self.length = len(characters)
        known = [character for character in characters if character is not None]
        self.literal = "".join(known) if len(known) == len(characters) else None
        source = "".join(["(.)" if character is None else re.escape(character) for character in characters])
        self.pattern = re.compile("" if self.literal is not None else source, re.DOTALL)

    def at(self, text: str, place: int) -> list[tuple[int, int]] | None:
        """The spans of its question marks when it stands at a place."""
        if self.literal is not None:
            return [] if text.startswith(self.literal, place) else None
        found = self.pattern.match(text, place)
        return None if found is None else list(found.regs[1:])

    def search(self, text: str, start: int, end: int) -> tuple[int, list[tuple[int, int]]] | None:
        """Its first place in a stretch, and its spans."""
        if self.literal is not None:
            place = text.find(self.literal, start, end)
            return None if place < 0 else (place, [])
        found = self.pattern.search(text, start, end)
        return None if found is None else (found.start(), list(found.regs[1:]))


class Wildcard:
    """One pattern. `weight` is how much dearer it may be than one look at a text."""

    __slots__ = ("segments", "weight")

    def __init__(self, pattern: str) -> None:
        self.segments = [Segment(one) for one in _split(pattern)]
        searched = [one.length for one in self.segments if one.literal is None]
        self.weight = 1 + max(searched, default=0) // 8

    def match(self, text: str) -> list[tuple[int, int]] | None:
        """The spans of all wildcards in order, a star's as short as can be; None when the text is another one."""
        first, last = self.segments[0], self.segments[-1]
        if len(self.segments) == 1:
            return first.at(text, 0) if len(text) == first.length else None
        stop = len(text) - last.length
        spans = first.at(text, 0)
        if spans is None or stop < first.length:
            return None
        position = first.length
        for segment in self.segments[1:-1]:
            found = segment.search(text, position, stop)
            if found is None:
                return None
            spans.append((position, found[0]))
            spans += found[1]
            position = found[0] + segment.length
        ending = last.at(text, stop)
        if ending is None or position > stop:
            return None
        return [*spans, (position, stop), *ending]


def _split(pattern: str) -> list[list[str | None]]:
    """The segments: characters, None for a question mark."""
    segments: list[list[str | None]] = [[]]
    for found in _PIECE.finditer(pattern):
        if found[2] == "*":
            segments.append([])
        elif found[2] == "?":
            segments[-1].append(None)
        else:
            segments[-1] += found[1] or found[3] or "\\"
    return segments
