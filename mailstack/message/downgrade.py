"""8-bit text made 7-bit for hosts without 8BITMIME (RFC 6152 3), before the one signing."""

import base64
import quopri
import re

from mailstack.message.mime import Part, walk

_ENCODING = re.compile(rb"^content-transfer-encoding[ \t]*:.*(?:\r?\n[ \t].*)*\r?\n", re.IGNORECASE | re.MULTILINE)


def needs_downgrade(data: bytes) -> bool:
    return not data.isascii()


def to_7bit(data: bytes) -> bytes:
    """The same message in 7-bit: parts with 8-bit bodies as quoted-printable or base64; the others keep their octets."""
    return data if data.isascii() else _part(data, walk(data))


def _part(data: bytes, part: Part) -> bytes:
    header, body = data[part.start : part.body], data[part.body : part.end]
    if data[part.start : part.end].isascii():
        return header + body
    if part.children:
        out = []
        position = part.body
        for child in part.children:
            out += [data[position : child.start], _part(data, child)]
            position = child.end
        out.append(data[position : part.end])
        body = b"".join(out)
        if not body.isascii():  # a preamble or an epilogue
            body = body.decode("ascii", "replace").replace("\ufffd", "?").encode("ascii")
        return _relabelled(header, b"7bit") + body
    if body.isascii():
        return _ascii(header) + body
    if part.type == b"text":
        lines = body.split(b"\r\n")
        encoded = b"\r\n".join(_quoted(line) for line in lines)
        return _relabelled(header, b"quoted-printable") + encoded
    packed = base64.encodebytes(body).replace(b"\n", b"\r\n")
    return _relabelled(header, b"base64") + packed


def _quoted(line: bytes) -> bytes:
    return quopri.encodestring(line, quotetabs=False).rstrip(b"\n").replace(b"\n", b"\r\n")


def _ascii(header: bytes) -> bytes:
    """Raw 8-bit in a header has no 7-bit form but encoded words; what can't be one is marked."""
    if header.isascii():
        return header
    out = []
    for line in header.split(b"\r\n"):
        if line.isascii():
            out.append(line)
            continue
        words = [word if word.isascii() else b"=?utf-8?B?" + base64.b64encode(word) + b"?=" for word in line.split(b" ")]
        out.append(b" ".join(words))
    return b"\r\n".join(out)


def _relabelled(header: bytes, encoding: bytes) -> bytes:
    header = _ascii(_ENCODING.sub(b"", header))
    label = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    return header[:-2] + label + b"\r\n" if header.endswith(b"\r\n") else header + label
