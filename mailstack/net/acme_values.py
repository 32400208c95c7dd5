"""What a certificate authority says (RFC 8555), as values."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass


class AcmeProblem(Exception):
    """An authority that says no, or nothing. `kind`: its word (RFC 8555 6.7), or "connection" or "answer".

    `names`: those that it is about. `retry_after`: seconds, where it says how long to wait.
    """

    def __init__(self, text: str, kind: str, names: Sequence[str] = (), retry_after: float | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.names = tuple(names)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Order:
    """RFC 8555 7.1.3."""

    url: str
    status: str
    names: tuple[str, ...]
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Challenge:
    kind: str
    url: str
    token: str
    status: str


@dataclass(frozen=True, slots=True)
class Authorization:
    """RFC 8555 7.1.4; challenges of kinds that we know nothing of are not here."""

    name: str
    status: str
    challenges: tuple[Challenge, ...]
    problem: str | None


@dataclass(frozen=True, slots=True)
class Binding:
    """External account binding (RFC 8555 7.3.4). `key`: as the authority gave it, base64url."""

    kid: str
    key: bytes

    @classmethod
    def of(cls, kid: str, text: str) -> "Binding":
        """Raises ValueError."""
        plain = "".join(text.split()).rstrip("=").replace("+", "-").replace("/", "_")
        return cls(kid, base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True))
