"""SRS: what is forwarded leaves with a sender of ours, and its bounces find the way back."""

import base64
import hashlib
import hmac

from mailstack.message.address import Address
from mailstack.message.errors import SyntaxProblem

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
DAYS = 21  # how long a bounce may take
_CYCLE = 1024


def _stamp(day: int) -> str:
    return _BASE32[day % _CYCLE >> 5] + _BASE32[day % 32]


def _mac(secret: str, *pieces: str) -> str:
    digest = hmac.digest(secret.encode(), "\0".join(pieces).lower().encode(), hashlib.sha256)
    return base64.b32encode(digest)[:6].decode()


def forward(sender: Address, domain: str, secret: str, day: int) -> Address:
    """The sender under which a message of `sender` is forwarded by us. `day`: days since the epoch."""
    local = sender.local
    kind = local[:5].upper()
    if kind in ("SRS0=", "SRS1="):
        # Another forwarder's: bounces go through us to the first of them.
        host, inner = sender.domain, local[5:]
        if kind == "SRS1=":
            host, _, inner = inner.partition("=")[2].partition("==")
        return Address(f"SRS1={_mac(secret, host, inner)}={host}=={inner}", domain)
    stamp = _stamp(day)
    return Address(f"SRS0={_mac(secret, stamp, sender.domain, local)}={stamp}={sender.domain}={local}", domain)


def reverse(address: Address, secret: str, day: int) -> Address:
    """Whom a bounce to our SRS address is for. Raises SyntaxProblem for one that is forged, or too old."""
    kind, rest = address.local[:5].upper(), address.local[5:]
    if kind == "SRS0=":
        pieces = rest.split("=", 3)
        if len(pieces) != 4:
            raise SyntaxProblem("not an SRS address")
        mac, stamp, domain, local = pieces
        if not hmac.compare_digest(_mac(secret, stamp, domain, local).encode(), mac.upper().encode()):
            raise SyntaxProblem("the SRS address was not made here")
        if stamp.upper() not in {_stamp(day - age) for age in range(DAYS)}:
            raise SyntaxProblem("the SRS address is too old")
        return Address(local, domain.lower())
    if kind == "SRS1=":
        mac, _, more = rest.partition("=")
        host, found, inner = more.partition("==")
        if not found or not hmac.compare_digest(_mac(secret, host, inner).encode(), mac.upper().encode()):
            raise SyntaxProblem("the SRS address was not made here")
        return Address(f"SRS0={inner}", host.lower())
    raise SyntaxProblem("not an SRS address")
