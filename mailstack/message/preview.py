"""The first words of a message, as a list of mails shows them (RFC 8970)."""

import binascii
import html
import quopri
import re
from collections.abc import Iterator

from mailstack.message.charset import decode
from mailstack.message.mime import Part

PREVIEW_LENGTH = 200  # characters; RFC 8970 3.1 allows 256
_READ = 16384  # octets of a text that are looked at
_READ_HTML = 131072  # a style sheet may come first
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_TAG = re.compile(r"<!--|<(/?)([A-Za-z][A-Za-z0-9]*)[^<>]*>|<[!?][^<>]*>")
_UNSEEN = frozenset({"style", "script", "title"})
_WORD_TAGS = frozenset({"a", "b", "em", "font", "i", "small", "span", "strong", "u"})  # they part no words
_NOT_SHOWN = re.compile(r"[\s\x00-\x1f\x7f\u00ad\u034f\u200b-\u200f\u2028-\u202e\u2060\ufeff]+")


def preview(part: Part, data: bytes) -> str:
    """Up to PREVIEW_LENGTH characters of decoded text, in one line; empty where the message has none. Never raises.

    `data` may be the message's beginning alone, and `part` the tree of that.
    """
    found = _text_part(part)
    if found is None:
        return ""
    is_html = found.subtype == b"html"
    body = data[found.body : min(found.end, found.body + (_READ_HTML if is_html else _READ))]
    charset = found.parameter(b"charset")
    text = decode(_without_encoding(body, found.encoding), charset.decode("ascii", "replace") if charset else None)
    if is_html:
        words = _NOT_SHOWN.sub(" ", html.unescape("".join(_visible(text))))
    else:
        words = _NOT_SHOWN.sub(" ", _own_words(text)).strip() or _NOT_SHOWN.sub(" ", text)
    return words.strip()[:PREVIEW_LENGTH].rstrip()


def has_text(part: Part) -> bool:
    return _text_part(part) is not None


def _text_part(part: Part) -> Part | None:
    """The first text that is no attachment; plain text before HTML where there is a choice."""
    if part.disposition is not None and part.disposition[0].lower() == b"attachment":
        return None
    if part.type == b"text":
        return part
    if part.type == b"multipart" and part.subtype == b"alternative":
        choices = [found for child in part.children if (found := _text_part(child)) is not None]
        return next((one for one in choices if one.subtype == b"plain"), choices[0] if choices else None)
    for child in part.children:
        found = _text_part(child)
        if found is not None:
            return found
    return None


def _without_encoding(body: bytes, encoding: bytes) -> bytes:
    if encoding == b"quoted-printable":
        return quopri.decodestring(body)
    if encoding == b"base64":
        digits = _NOT_BASE64.sub(b"", body)
        return binascii.a2b_base64(digits[: len(digits) // 4 * 4]) + _last_octets(digits)
    return body


def _last_octets(digits: bytes) -> bytes:
    left = digits[len(digits) // 4 * 4 :]
    return binascii.a2b_base64(left + b"=" * (4 - len(left))) if len(left) > 1 else b""


def _own_words(text: str) -> str:
    """Without the lines that a reply quotes, and without a signature."""
    lines = []
    for line in text.split("\n"):
        if line.rstrip("\r") == "-- ":
            break
        if not line.startswith(">"):
            lines.append(line)
    return "\n".join(lines)


def _visible(text: str) -> Iterator[str]:
    """Text between tags, without style sheets, scripts and comments; one pass, whatever the input."""
    position = 0
    hidden = ""
    while (found := _TAG.search(text, position)) is not None:
        if not hidden:
            yield text[position : found.start()]
        position = found.end()
        if found[0] == "<!--":
            end = text.find("-->", position)
            if end < 0:
                return
            position = end + 3
        elif found[2]:
            name = found[2].lower()
            if name == hidden:
                hidden = "" if found[1] else hidden
            elif not hidden:
                hidden = name if name in _UNSEEN and not found[1] else ""
                yield "" if name in _WORD_TAGS else " "
    if not hidden:
        yield text[position:]
