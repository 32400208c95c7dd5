"""Who sends a message to whom, apart from what its header says (RFC 5321 2.3.1, RFC 3461)."""

import enum
import hashlib
import random
from dataclasses import dataclass

from mailstack.message.address import Address

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_TIME_DIGITS = 9  # milliseconds in base 36: enough until the year 5188
_RANDOM_DIGITS = 7


class Notify(enum.Flag):
    """Of what a recipient's sender wants to hear (RFC 3461 4.1). None on a recipient means that it was not given."""

    NEVER = enum.auto()
    SUCCESS = enum.auto()
    FAILURE = enum.auto()
    DELAY = enum.auto()


class Return(enum.Enum):
    """How much of the message a failure notice brings back (RFC 3461 4.3)."""

    FULL = "FULL"
    HEADERS = "HDRS"


class Body(enum.Enum):
    """The sender's word about the body (RFC 6152)."""

    SEVENBIT = "7BIT"
    EIGHTBIT = "8BITMIME"


class TlsWish(enum.Enum):
    """What a message itself says of TLS on its way (RFC 8689)."""

    POLICY = "policy"  # nothing: what the receiving domain asks for holds
    REQUIRED = "required"  # never without a proved host
    OPTIONAL = "optional"  # rather in the clear than not at all


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient with what was asked of its notices."""

    address: Address
    notify: Notify | None = None
    original: str | None = None  # ORCPT as given, xtext-decoded: "rfc822;bob@example.org"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message's way: sender, recipients and the promises made when it was accepted."""

    id: str  # from new_id
    sender: Address | None  # None is the null sender
    recipients: tuple[Recipient, ...]
    received: float  # seconds since the epoch, UTC
    ret: Return | None = None
    envelope_id: str | None = None  # ENVID, decoded
    smtputf8: bool = False
    body: Body = Body.EIGHTBIT
    account: str | None = None  # the account that submitted it, by its address; None for inbound
    own: bool = False  # written by this server itself: notices, replies, reports
    forwarded: bool = False  # others wrote it, and it goes on in the name of someone here
    tls: TlsWish = TlsWish.POLICY
    origin: str | None = None  # the id under which it came in, where that is another one
    sent: tuple[str, ...] = ()  # ids of what left because of it already, and must not again
    after: "Turn | None" = None  # it waits
    signed_as: str | None = None  # a domain here that vouches for what others wrote: that of a mailing list


@dataclass(frozen=True, slots=True)
class Turn:
    """What follows from a queued message leaves when that is done for one of its recipients: until then it may be made anew."""

    id: str
    recipient: int  # its number there


def new_id(now: float, randomness: random.Random) -> str:
    """A message id of 16 characters from [0-9a-z]: 9 of time in milliseconds, 7 at random. Lexical order is time order."""
    milliseconds = max(0, int(now * 1000))
    return _base36(milliseconds, _TIME_DIGITS) + _base36(randomness.randrange(36**_RANDOM_DIGITS), _RANDOM_DIGITS)


def derived_id(id: str, *words: str) -> str:
    """The id of what follows from a message: the same words make the same one, so that a repeated step makes no second."""
    digest = hashlib.blake2b("\0".join((id, *words)).encode(), digest_size=8).digest()
    return id[:_TIME_DIGITS] + _base36(int.from_bytes(digest, "big") % 36**_RANDOM_DIGITS, _RANDOM_DIGITS)


def _base36(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
