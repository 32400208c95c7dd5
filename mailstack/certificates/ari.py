"""When the authority wants a certificate renewed (RFC 9773): its id, and the answer. Pure."""

import base64
import datetime
from dataclasses import dataclass

import orjson
from cryptography import x509

from mailstack.message.errors import SyntaxProblem

ASK_SECONDS = 6 * 3600.0  # RFC 9773 4.3.3: for authorities that do not say when to ask again
SHORTEST, LONGEST = 60.0, 86400.0  # RFC 9773 4.3.2: what of their word is reasonable


@dataclass(frozen=True, slots=True)
class Window:
    """Seconds since 1970."""

    start: float
    end: float
    explanation: str | None


def certificate_id(certificate: x509.Certificate) -> str | None:
    """RFC 9773 4.1; None for a certificate that does not name its issuer's key."""
    try:
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, ValueError):
        return None
    if issuer is None:
        return None
    number = certificate.serial_number
    serial = number.to_bytes(number.bit_length() // 8 + 1, "big")  # the content of a DER INTEGER
    return f"{_base64(issuer)}.{_base64(serial)}"


def parse_window(body: bytes) -> Window:
    """RFC 9773 4.2. Raises SyntaxProblem."""
    try:
        found = orjson.loads(body)
        window, explanation = found["suggestedWindow"], found.get("explanationURL")
        start, end = _moment(window["start"]), _moment(window["end"])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise SyntaxProblem("no renewal information") from None
    if end <= start:
        raise SyntaxProblem("a window that ends before it begins")
    return Window(start, end, explanation if isinstance(explanation, str) else None)


def place(directory: bytes) -> str | None:
    """Where an authority's directory says that it is asked (RFC 9773 3); None: it is not."""
    try:
        found = orjson.loads(directory).get("renewalInfo")
    except (ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def ask_again(retry_after: str) -> float:
    """Seconds, from the header Retry-After."""
    return min(max(float(retry_after), SHORTEST), LONGEST) if retry_after.isdecimal() else ASK_SECONDS


def _moment(text: object) -> float:
    if not isinstance(text, str):
        raise TypeError
    found = datetime.datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(text)
    return found.timestamp()


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
