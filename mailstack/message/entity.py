"""MIME entities that this server writes: text as a part, a field's value in ASCII (RFC 2045, RFC 2047)."""

import base64
import quopri
import textwrap
from email.header import Header

from mailstack.message.header import field_lines, split_header


def words(text: str) -> str:
    """A field's value in ASCII (RFC 2047)."""
    clean = " ".join(text.split())
    if clean.isascii() and clean.isprintable():
        return "\r\n ".join(textwrap.wrap(clean, 70, break_long_words=False, break_on_hyphens=False)) or clean
    shown = "".join(one if one.isprintable() else "?" for one in clean)
    return Header(shown, "utf-8", maxlinelen=70).encode(linesep="\r\n")


def plain(text: str) -> bytes:
    """A text part with its header: as it is where it can be, else encoded. No line of it may be taken for a boundary."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    data = ("\r\n".join(lines) + "\r\n").encode("utf-8", "replace").replace(b"\0", b"")
    kind = b"Content-Type: text/plain; charset=utf-8\r\n"
    doubtful = any(line.startswith("--") and len(line) > 3 for line in lines)
    if data.isascii() and not doubtful and max(len(line) for line in data.split(b"\r\n")) <= 900:
        return kind + b"Content-Transfer-Encoding: 7bit\r\n\r\n" + data
    packed = quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n--", b"\n=2D-").replace(b"\n", b"\r\n")
    packed = b"=2D" + packed[1:] if packed.startswith(b"--") else packed
    return kind + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + packed


def given(text: str) -> bytes:
    """What a script wrote as an entity: its Content fields, and its body; in base64 where it is not fit for every way."""
    data = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode("utf-8", "replace").replace(b"\0", b"")
    header, body = split_header(data)
    kept = [(name, raw) for name, raw in field_lines(header) if name.startswith(b"content-")]
    encoded = any(name == b"content-transfer-encoding" for name, _ in kept)
    fields = b"".join(raw for _, raw in kept)
    if not body.isascii() and not encoded and b"multipart/" not in fields.lower():
        fields += b"Content-Transfer-Encoding: base64\r\n"
        body = base64.encodebytes(body).replace(b"\n", b"\r\n")
    return fields + b"\r\n" + body + (b"" if body.endswith(b"\r\n") else b"\r\n")
