"""What a CATENATE puts together (RFC 4469)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CatText:
    """A literal of a CATENATE. Its bytes were streamed."""

    size: int


@dataclass(frozen=True, slots=True)
class CatUrl:
    url: str
