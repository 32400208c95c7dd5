"""The first words of a message, as a list of mails shows them (RFC 8970)."""

import re

from mailstack.message.charset import decode
from mailstack.message.html import to_text
from mailstack.message.mime import Octets, Part
from mailstack.message.transfer import UnknownEncoding, decode_body

PREVIEW_LENGTH = 200  # characters; RFC 8970 3.1 allows 256
_READ = 16384  # octets of a text that are looked at
_READ_HTML = 131072  # a style sheet may come first
_NOT_SHOWN = re.compile(r"[\s\x00-\x1f\x7f\u00ad\u034f\u200b-\u200f\u2028-\u202e\u2060\ufeff]+")


def preview(part: Part, data: Octets) -> str:
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
        words = _NOT_SHOWN.sub(" ", to_text(_without_title(text)).partition("\n")[0])
    else:
        words = _NOT_SHOWN.sub(" ", _own_words(text)).strip() or _NOT_SHOWN.sub(" ", text)
    return words.strip()[:PREVIEW_LENGTH].rstrip()


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
    try:
        return decode_body(body, encoding)
    except (UnknownEncoding, ValueError):
        return body


def _without_title(source: str) -> str:
    """It says what the subject says."""
    lower = source[:_READ].lower()
    start, end = lower.find("<title"), lower.find("</title")
    return source[:start] + source[end:] if 0 <= start < end else source


def _own_words(text: str) -> str:
    """Without the lines that a reply quotes, and without a signature."""
    lines = []
    for line in text.split("\n"):
        if line.rstrip("\r") == "-- ":
            break
        if not line.startswith(">"):
            lines.append(line)
    return "\n".join(lines)
