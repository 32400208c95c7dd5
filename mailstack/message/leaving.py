"""Tokens of links by which one member leaves one mailing list (RFC 8058 3.1): opaque, and nobody else can make them."""

import base64
import binascii
import hashlib
import hmac

from mailstack.message.errors import SyntaxProblem

MAC = 16  # octets


def make(mailing: str, member: str, secret: str) -> str:
    """Of letters, digits, "-" and "_"."""
    what = f"{mailing}\0{member}".encode()
    return base64.urlsafe_b64encode(_mac(what, secret) + what).decode().rstrip("=")


def read(token: str, secret: str) -> tuple[str, str]:
    """The list and the member. Raises SyntaxProblem for what was not made here."""
    try:
        data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError) as problem:
        raise SyntaxProblem("not a link of a list") from problem
    what = data[MAC:]
    if not hmac.compare_digest(_mac(what, secret), data[:MAC]):
        raise SyntaxProblem("the link was not made here")
    mailing, _, member = what.decode().partition("\0")
    return mailing, member


def _mac(what: bytes, secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"leave\0" + what, hashlib.sha256)[:MAC]
