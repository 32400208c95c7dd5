"""SASL mechanisms of one message: PLAIN (RFC 4616), OAUTHBEARER (RFC 7628), XOAUTH2; and base64 as all protocols frame it."""

import base64
import binascii
import json
from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem

PASSWORD_LIMIT = 4096  # octets of a PLAIN message
TOKEN_LIMIT = 16384  # octets of a message with a token


class Cancelled(SyntaxProblem):
    """The client sent `*`."""


@dataclass(frozen=True, slots=True)
class Plain:
    identity: str  # to act as; empty: as the user
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Bearer:
    user: str | None  # whom the client takes itself for
    token: str  # empty: the client asks what it needs


def encode(data: bytes) -> bytes:
    return base64.b64encode(data)


def decode(line: bytes) -> bytes:
    """A client's line. Raises Cancelled, SyntaxProblem."""
    if line == b"*":
        raise Cancelled("authentication cancelled")
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error:
        raise SyntaxProblem("not base64") from None


def decode_initial(line: bytes) -> bytes:
    """An initial response, of which `=` is the empty one (RFC 4954 4, RFC 4959 3, RFC 5034 4). Raises SyntaxProblem."""
    return b"" if line == b"=" else decode(line)


def text(data: bytes, limit: int = PASSWORD_LIMIT) -> str:
    """UTF-8. Raises SyntaxProblem."""
    if len(data) > limit:
        raise SyntaxProblem("too long")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise SyntaxProblem("not UTF-8") from None


def plain(data: bytes) -> Plain:
    """RFC 4616 2: authzid NUL authcid NUL passwd. Raises SyntaxProblem."""
    pieces = text(data).split("\0")
    if len(pieces) != 3:
        raise SyntaxProblem("not a PLAIN response")
    return Plain(*pieces)


def oauthbearer(data: bytes) -> Bearer:
    """RFC 7628 3.1: `n,a=user,` and key-value pairs between 0x01. Raises SyntaxProblem."""
    header, mark, rest = text(data, TOKEN_LIMIT).partition("\1")
    flag, _, identity = header.partition(",")
    # RFC 7628 3.1: there is no channel binding; a client that could do one says "y".
    if not mark or flag not in ("n", "y") or not identity.endswith(","):
        raise SyntaxProblem("not an OAUTHBEARER response")
    identity = identity.removesuffix(",")
    if identity and not identity.startswith("a="):
        raise SyntaxProblem("not an OAUTHBEARER response")
    user = identity[2:].replace("=2C", ",").replace("=3D", "=") if identity else None
    return Bearer(user or None, _token(rest))


def xoauth2(data: bytes) -> Bearer:
    """As Google wrote it down: `user=...`, `auth=Bearer ...`, each ended by 0x01, and one more. Raises SyntaxProblem."""
    first, mark, rest = text(data, TOKEN_LIMIT).partition("\1")
    if not mark or not first.startswith("user="):
        raise SyntaxProblem("not an XOAUTH2 response")
    return Bearer(first[5:] or None, _token(rest))


def _token(pairs: str) -> str:
    if not pairs.endswith("\1") or (pairs != "\1" and not pairs.endswith("\1\1")):
        raise SyntaxProblem("no end of the pairs")
    values = {}
    for pair in pairs.strip("\1").split("\1") if pairs.strip("\1") else ():
        key, mark, value = pair.partition("=")
        if not mark or not key.isalpha():
            raise SyntaxProblem("not a pair of key and value")
        values[key.lower()] = value
    scheme, _, token = values.get("auth", "").partition(" ")
    if "auth" in values and scheme.lower() != "bearer":
        raise SyntaxProblem("only bearer tokens are taken")
    return token.strip()


def bearer_error(status: str, scope: str, configuration: str) -> bytes:
    """RFC 7628 3.2.2: what a client needs to get a token that is taken."""
    found = {"status": status, "scope": scope, "openid-configuration": configuration}
    return json.dumps({key: value for key, value in found.items() if value}).encode()


def xoauth2_error(scope: str) -> bytes:
    found = {"status": "401", "schemes": "bearer", "scope": scope}
    return json.dumps({key: value for key, value in found.items() if value}).encode()
