"""JSON Web Tokens (RFC 7519) as access tokens: signed with keys of a public set (RFC 7517), never with shared secrets."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from mailstack.message.errors import SyntaxProblem

Claims = Mapping[str, Any]
LEEWAY = 60.0  # seconds by which the clocks may differ
RSA_BITS = 2048  # fewer prove nothing
_HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


@dataclass(frozen=True, slots=True)
class _Curve:
    """RFC 7518 3.4."""

    name: str
    curve: type[ec.EllipticCurve]
    octets: int  # of a number
    hash: hashes.HashAlgorithm


_CURVES = {
    "ES256": _Curve("P-256", ec.SECP256R1, 32, hashes.SHA256()),
    "ES384": _Curve("P-384", ec.SECP384R1, 48, hashes.SHA384()),
    "ES512": _Curve("P-521", ec.SECP521R1, 66, hashes.SHA512()),
}


class UnknownKey(Exception):
    """The set has no key for this token: there may be a newer set."""


class Invalid(Exception):
    """A token that proves nothing. The reason is for the log."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key, and what it may be used for."""

    id: str | None
    algorithm: str | None
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Token:
    """A token in its parts; nothing of it is proved."""

    algorithm: str
    key_id: str | None
    claims: Claims
    signed: bytes
    signature: bytes


def parse(token: str) -> Token:
    """RFC 7515 3.1, the compact form. Raises SyntaxProblem."""
    pieces = token.split(".")
    if len(pieces) != 3 or not token.isascii():
        raise SyntaxProblem("not a JWT")
    header, claims = (_object(_octets(piece)) for piece in pieces[:2])
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or "crit" in header:  # RFC 7515 4.1.11
        raise SyntaxProblem("not a JWT that can be checked")
    signed = ".".join(pieces[:2]).encode()
    return Token(algorithm, key_id if isinstance(key_id, str) else None, claims, signed, _octets(pieces[2]))


def parse_keys(data: bytes) -> tuple[Key, ...]:
    """The signing keys of a JWK set (RFC 7517 5); those of kinds that are not known are passed over. Raises SyntaxProblem."""
    rows = _object(data).get("keys")
    if not isinstance(rows, list):
        raise SyntaxProblem("not a set of keys")
    return tuple(key for row in rows if isinstance(row, dict) and (key := _key(row)) is not None)


def _key(row: dict[str, Any]) -> Key | None:
    if row.get("use") not in (None, "sig"):
        return None
    try:
        public = _public(row)
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    id_, algorithm = row.get("kid"), row.get("alg")
    if public is None:
        return None
    return Key(id_ if isinstance(id_, str) else None, algorithm if isinstance(algorithm, str) else None, public)


def _public(row: dict[str, Any]) -> rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | None:
    """RFC 7518 6, RFC 8037 2."""
    if row["kty"] == "RSA":
        found = rsa.RSAPublicNumbers(_number(row["e"]), _number(row["n"])).public_key()
        return found if found.key_size >= RSA_BITS else None
    if row["kty"] == "EC":
        for one in _CURVES.values():
            if row["crv"] == one.name:
                return ec.EllipticCurvePublicNumbers(_number(row["x"]), _number(row["y"]), one.curve()).public_key()
    if row["kty"] == "OKP" and row["crv"] == "Ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(_octets(row["x"]))
    return None


def verify(token: Token, keys: Sequence[Key]) -> None:
    """Raise UnknownKey or Invalid unless one of the keys signed it."""
    fitting = [key for key in keys if token.key_id is None or key.id in (None, token.key_id)]
    if not fitting:
        raise UnknownKey
    for key in fitting:
        if key.algorithm in (None, token.algorithm) and _signed_by(key, token):
            return
    raise Invalid("signature")


def _signed_by(key: Key, token: Token) -> bool:
    """RFC 7518 3.1, RFC 8037 3.1. The key's kind decides what an algorithm's name may mean; "none" and HS256 mean nothing."""
    public, kind, bits = key.public, token.algorithm[:2], token.algorithm[2:]
    try:
        if isinstance(public, rsa.RSAPublicKey) and kind in ("RS", "PS") and bits in _HASHES:
            algorithm = _HASHES[bits]
            pad = padding.PKCS1v15() if kind == "RS" else padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
            public.verify(token.signature, token.signed, pad, algorithm)
            return True
        if isinstance(public, ec.EllipticCurvePublicKey) and token.algorithm in _CURVES:
            one = _CURVES[token.algorithm]
            if isinstance(public.curve, one.curve) and len(token.signature) == 2 * one.octets:
                r, s = (int.from_bytes(part) for part in (token.signature[: one.octets], token.signature[one.octets :]))
                public.verify(encode_dss_signature(r, s), token.signed, ec.ECDSA(one.hash))
                return True
        if isinstance(public, ed25519.Ed25519PublicKey) and token.algorithm in ("EdDSA", "Ed25519"):
            public.verify(token.signature, token.signed)
            return True
    except InvalidSignature:
        pass
    return False


def check(claims: Claims, now: float, issuer: str) -> None:
    """RFC 7519 4.1: who made it, and until when. Raises Invalid."""
    if issuer and claims.get("iss") != issuer:
        raise Invalid("issuer")
    if now > _time(claims, "exp") + LEEWAY:
        raise Invalid("expired")
    if now < _time(claims, "nbf") - LEEWAY:
        raise Invalid("not valid yet")


def names(claims: Claims, claim: str) -> list[str]:
    """One string, or several."""
    found = claims.get(claim)
    if isinstance(found, list):
        return [one for one in found if isinstance(one, str)]
    return [found] if isinstance(found, str) else []


def _time(claims: Claims, name: str) -> float:
    """Seconds since 1970; long ago where there is none."""
    found = claims.get(name, 0)
    if not isinstance(found, int | float) or isinstance(found, bool):
        raise Invalid(f"{name} is no time")
    return found


def _octets(text: str) -> bytes:
    """RFC 7515 2: base64url without padding."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise SyntaxProblem("not base64url") from None


def _number(text: str) -> int:
    return int.from_bytes(_octets(text))


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise SyntaxProblem("not JSON") from None
    if not isinstance(found, dict):
        raise SyntaxProblem("not an object of JSON")
    return found
