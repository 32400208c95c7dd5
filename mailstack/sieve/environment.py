"""What a script may know besides the message."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from mailstack.message.address import Address
from mailstack.sieve.actions import Flags


@dataclass(frozen=True, slots=True)
class Environment:
    """Of one delivery. `now` has its zone, which is the user's: dates are shown in it where a script names none."""

    sender: Address | None  # of the envelope; None is the null sender
    recipient: Address  # as it was delivered to, with its detail
    now: datetime
    addresses: frozenset[str] = frozenset()  # the user's own ones (Address.key), aliases included
    separator: str = "+"  # between user and detail (RFC 5233)
    items: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # RFC 5183 4.1
    spam: float | None = None  # 0 to 100: how sure it is spam; None: nobody looked (RFC 5235)
    virus: int | None = None  # 1 none .. 5 certainly; None: nobody looked
    event: bool = False  # nothing is delivered: something happened in a mailbox (RFC 6785)
    flags: Flags = None  # that the message has by then
