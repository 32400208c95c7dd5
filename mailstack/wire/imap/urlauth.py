"""URLs that carry the right to fetch what they name (RFC 4467 2, RFC 5092 7)."""

import datetime
import enum
import hashlib
import hmac
import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap.url import LENGTH_LIMIT, MessageUrl, parse_url

MECHANISM = "internal"
_PARTS = re.compile(
    r"(?P<rump>(?P<url>imap://.+?)(?:;EXPIRE=(?P<expire>[0-9T:.Z+-]{1,40}))?"
    r";URLAUTH=(?P<access>(?:submit|user)\+[^:;/]+|authuser|anonymous))(?::(?P<mechanism>[A-Za-z0-9.-]+):(?P<token>[0-9A-Fa-f]{32,}))?",
    re.IGNORECASE,
)


class Access(enum.Enum):
    """RFC 4467 3: who may fetch it."""

    SUBMIT = "submit"  # a submission server on a user's behalf
    USER = "user"
    ANY_USER = "authuser"
    ANYBODY = "anonymous"


@dataclass(frozen=True, slots=True)
class AuthorisedUrl:
    """`rump` is what the token is made of. Without a token nobody was authorised yet."""

    rump: str
    message: MessageUrl
    owner: str
    mailbox: str
    access: Access
    user: str | None  # of SUBMIT and USER
    expires: float | None  # seconds since the epoch
    token: bytes | None


def parse_authorised(text: str) -> AuthorisedUrl:
    """Raises SyntaxProblem."""
    found = _PARTS.fullmatch(text) if len(text) <= LENGTH_LIMIT else None
    if found is None:
        raise SyntaxProblem("not a URL with URLAUTH")
    message = parse_url(found["url"])
    if message.user is None or message.mailbox is None:
        raise SyntaxProblem("the URL names no owner")
    if found["mechanism"] is not None and found["mechanism"].lower() != MECHANISM:
        raise SyntaxProblem("unknown URLAUTH mechanism")
    word, _, user = found["access"].partition("+")
    return AuthorisedUrl(
        rump=found["rump"],
        message=message,
        owner=message.user,
        mailbox=message.mailbox,
        access=Access(word.lower()),
        user=unquote_to_bytes(user).decode("utf-8", "replace") if user else None,
        expires=_moment(found["expire"]) if found["expire"] else None,
        token=bytes.fromhex(found["token"]) if found["token"] and len(found["token"]) % 2 == 0 else None,
    )


def _moment(text: str) -> float:
    """RFC 3339: with its zone."""
    try:
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise SyntaxProblem("EXPIRE needs a time zone")
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise SyntaxProblem("not a date in EXPIRE") from None


def token(key: bytes, rump: str) -> bytes:
    """HMAC-SHA256, with an octet before it that says so."""
    return b"\x02" + hmac.digest(key, rump.encode("utf-8"), hashlib.sha256)


def holds(key: bytes, url: AuthorisedUrl) -> bool:
    return hmac.compare_digest(token(key, url.rump), url.token or b"")
