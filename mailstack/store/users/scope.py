"""What a password is good for: by which protocols one comes in with it, and whether it may change anything there."""

import enum
from dataclasses import dataclass
from typing import Final


class Protocol(enum.StrEnum):
    """A door, as a scope names it."""

    IMAP = "imap"
    POP3 = "pop3"
    SMTP = "smtp"
    MANAGESIEVE = "managesieve"
    WEB = "web"  # the console: for the account's own password alone


@dataclass(frozen=True, slots=True)
class Scope:
    """`name` is what an admin writes and what the table keeps."""

    name: str
    protocols: frozenset[Protocol]
    read_only: bool = False

    def admits(self, protocol: Protocol) -> bool:
        return protocol in self.protocols


_MAIL = [one for one in Protocol if one is not Protocol.WEB]
OWN: Final = Scope("own", frozenset(Protocol))  # of the account's own password
ALL: Final = Scope("all", frozenset(_MAIL))
SCOPES: Final = (
    ALL,
    Scope("send", frozenset({Protocol.SMTP})),
    Scope("read", frozenset({Protocol.IMAP, Protocol.POP3}), read_only=True),
    *(Scope(protocol.value, frozenset({protocol})) for protocol in _MAIL),
)


def parse_scope(name: str) -> Scope:
    """Raises ValueError, which names those that there are."""
    for scope in SCOPES:
        if scope.name == name:
            return scope
    raise ValueError(f"{name!r} is not one of " + ", ".join(scope.name for scope in SCOPES))
