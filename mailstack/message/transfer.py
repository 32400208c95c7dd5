"""Bodies without their transfer encoding (RFC 2045 6)."""

import base64
import binascii
import quopri
import re

_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")


class UnknownEncoding(Exception):
    """A transfer encoding that can't be undone."""


def decode_body(data: bytes, encoding: bytes) -> bytes:
    """The octets that were encoded, as far as they can be read. Raises UnknownEncoding."""
    if encoding in (b"7bit", b"8bit", b"binary"):
        return data
    if encoding == b"quoted-printable":
        return quopri.decodestring(data)
    if encoding == b"base64":
        clean = _NOT_BASE64.sub(b"", data)
        try:
            return base64.b64decode(clean + b"==")
        except binascii.Error:
            return base64.b64decode(clean[: len(clean) // 4 * 4])
    raise UnknownEncoding
