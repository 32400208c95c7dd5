"""Bodies without their transfer encoding (RFC 2045 6), whole or block by block."""

import binascii
import re
from typing import Final, Protocol

_NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
# An escape that ends a line, whose LF did not come yet: all up to it is left out.
_OPEN_BREAK: Final = re.compile(rb"(?<!=)(?:==)*=\r[^\n]*\Z")


class UnknownEncoding(Exception):
    """A transfer encoding that can't be undone."""


class Decoder(Protocol):
    """Takes blocks as they come; what it gives does not depend on where they are cut."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes:
        """What was held back."""


class _Plain:
    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


class _Base64:
    """What is no letter of base64 is passed over, `=` too: pieces that follow each other are one."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        clean = self._held + data.translate(None, _NOT_BASE64)
        whole = len(clean) // 4 * 4
        self._held = clean[whole:]
        return binascii.a2b_base64(clean[:whole])

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return binascii.a2b_base64(held + b"==") if len(held) > 1 else b""


class _QuotedPrintable:
    __slots__ = ("_held", "_in_break")

    def __init__(self) -> None:
        self._held = b""
        self._in_break = False

    def feed(self, data: bytes) -> bytes:
        if self._in_break:
            _, found, data = data.partition(b"\n")
            self._in_break = not found
        data = self._held + data
        last = data.rfind(b"\n") + 1  # what follows an LF depends on nothing before it
        unfinished = _OPEN_BREAK.search(data, last)
        if unfinished is not None:
            self._in_break = True
            end = data.index(b"\r", unfinished.start()) + 1
            self._held = b""
            return binascii.a2b_qp(data[:end])
        end = len(data)
        rest = data[max(last, end - 1) :]
        if rest and rest != b"=":
            end -= 1  # `=4` may go on
        escapes = end - max(last, len(data[last:end].rstrip(b"=")) + last)
        cut = end - 1 if escapes % 2 else len(data)
        self._held = data[cut:]
        return binascii.a2b_qp(data[:cut])

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return binascii.a2b_qp(held)


def decoder(encoding: bytes) -> Decoder:
    """For a body in blocks. Raises UnknownEncoding."""
    if encoding in (b"7bit", b"8bit", b"binary"):
        return _Plain()
    if encoding == b"quoted-printable":
        return _QuotedPrintable()
    if encoding == b"base64":
        return _Base64()
    raise UnknownEncoding


def decode_body(data: bytes, encoding: bytes) -> bytes:
    """The octets that were encoded, as far as they can be read. Raises UnknownEncoding."""
    if encoding == b"quoted-printable":
        return binascii.a2b_qp(data)
    undo = decoder(encoding)
    found = undo.feed(data)
    return found + undo.finish() if encoding == b"base64" else found
