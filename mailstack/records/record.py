"""A record, and a row of the comparison."""

from dataclasses import dataclass
from enum import StrEnum

from mailstack.net.dns_update import quoted


@dataclass(frozen=True, slots=True)
class Record:
    name: str  # without the last dot
    kind: str
    value: str  # as a zone file has it, but for TXT: the text as it is

    def __str__(self) -> str:
        """A line of a zone file."""
        value = quoted(self.value) if self.kind == "TXT" else self.value
        return f"{self.name}. {self.kind} {value}"


class State(StrEnum):
    OK = "ok"
    INFO = "info"  # nothing to do, or as one likes
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is wanted of the DNS, or was found there. Values as those of Record."""

    what: str
    state: State
    name: str
    kind: str
    wanted: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    ttl: int | None = None  # seconds for which others may keep what is found
    text: str = ""
    effect: str = ""  # of what is missing or wrong; empty where all is well
    fix: str = ""
    add: tuple[str, ...] = ()  # what an update brings
    remove: tuple[str, ...] = ()  # and takes away
    takes_over: bool = False  # it takes away what somebody else put there on purpose

    @property
    def good(self) -> bool:
        return self.state in (State.OK, State.INFO)
