"""Modified UTF-7 of mailbox names (RFC 3501 5.1.3)."""

import base64
import binascii
import re

from mailstack.message.errors import SyntaxProblem

_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")
_PLAIN = re.compile(r"[\x20-\x7e]+")


def encode(name: str) -> bytes:
    """A name as old clients send and expect it."""
    if "&" not in name and _PLAIN.fullmatch(name):
        return name.encode("ascii")
    out: list[bytes] = []
    pending: list[str] = []

    def flush() -> None:
        if pending:
            packed = base64.b64encode("".join(pending).encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
            out.append(b"&" + packed + b"-")
            pending.clear()

    for character in name:
        if " " <= character <= "~":
            flush()
            out.append(b"&-" if character == "&" else character.encode("ascii"))
        else:
            pending.append(character)
    flush()
    return b"".join(out)


def decode(data: bytes) -> str:
    """Strict: what encode() would not have written raises SyntaxProblem."""
    if b"&" not in data:
        if not data.isascii() or any(octet < 0x20 or octet == 0x7F for octet in data):
            raise SyntaxProblem("mailbox name is not modified UTF-7")
        return data.decode("ascii")
    out: list[str] = []
    position = 0
    while position < len(data):
        start = data.find(b"&", position)
        if start < 0:
            start = len(data)
        plain = data[position:start]
        if not plain.isascii() or any(octet < 0x20 or octet == 0x7F for octet in plain):
            raise SyntaxProblem("mailbox name is not modified UTF-7")
        out.append(plain.decode("ascii"))
        if start == len(data):
            break
        found = _SHIFTED.match(data, start)
        if found is None:
            raise SyntaxProblem("mailbox name has an unfinished & sequence")
        out.append(_unshift(found[1]) if found[1] else "&")
        position = found.end()
    text = "".join(out)
    if encode(text) != data:
        raise SyntaxProblem("mailbox name is not in the one form of modified UTF-7")
    return text


def _unshift(packed: bytes) -> str:
    try:
        data = base64.b64decode(packed.replace(b",", b"/") + b"=" * (-len(packed) % 4), validate=True)
        return data.decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError) as problem:
        raise SyntaxProblem("mailbox name has a broken & sequence") from problem
