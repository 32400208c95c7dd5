"""IMAP's ENVELOPE and BODYSTRUCTURE as the bytes to send (RFC 9051 7.5.2)."""

import re
from email.utils import getaddresses

from mailstack.message.header import unfold
from mailstack.message.mime import Parameters, Part

_WANTED = re.compile(
    rb"^(date|subject|from|sender|reply-to|to|cc|bcc|in-reply-to|message-id)[ \t]*:(.*(?:\r?\n[ \t].*)*)",
    re.IGNORECASE | re.MULTILINE,
)
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]*")
# One address of the kind that nearly all mails carry: Name <local@domain> or local@domain.
_ATEXT = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+"
_SIMPLE = re.compile(
    rb'\s*(?:(?:"([^"\\\x80-\xff]*)"|([A-Za-z0-9 .!#$%&\'*+/=?^_`{|}~-]*?))\s*<('
    + _ATEXT
    + rb")@("
    + _ATEXT
    + rb")>|("
    + _ATEXT
    + rb")@("
    + _ATEXT
    + rb"))\s*(?:,|$)"
)


def nstring(data: bytes | None) -> bytes:
    """Quoted, a literal where quoting can't carry it, or NIL. NUL is left out."""
    if data is None:
        return b"NIL"
    if _QUOTABLE.fullmatch(data):
        return b'"' + data + b'"'
    if b"\0" in data:
        data = data.replace(b"\0", b"")
    if data.isascii() and b"\r" not in data and b"\n" not in data:
        return b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"{%d}\r\n%b" % (len(data), data)


def _address_list(value: bytes | None) -> bytes:
    if not value:
        return b"NIL"
    out: list[bytes] = []
    position = 0
    while position < len(value):
        found = _SIMPLE.match(value, position)
        if found is None:
            return _address_list_slowly(value)
        quoted, words, local, domain, bare_local, bare_domain = found.groups()
        name = quoted if quoted is not None else words
        shown = b'"' + name + b'"' if name else b"NIL"
        out.append(b'(%b NIL "%b" "%b")' % (shown, local or bare_local, domain or bare_domain))
        position = found.end()
    return b"(" + b"".join(out) + b")"


def _address_list_slowly(value: bytes) -> bytes:
    """Groups, comments, quoted local parts and what is broken."""
    out: list[bytes] = []
    for chunk, group in _groups(value):
        if group is not None:
            out.append(b"(NIL NIL " + nstring(group) + b" NIL)")
        for name, address in _pairs(chunk):
            local, at, domain = address.rpartition("@")
            if not at:
                local, domain = address, ""
            if not name and not address:
                continue
            out.append(
                b"("
                + (nstring(_bytes(name)) if name else b"NIL")
                + b" NIL "
                + nstring(_bytes(local))
                + b" "
                + nstring(_bytes(domain))
                + b")"
            )
        if group is not None:
            out.append(b"(NIL NIL NIL NIL)")
    return b"(" + b"".join(out) + b")" if out else b"NIL"


def _pairs(chunk: bytes) -> list[tuple[str, str]]:
    text = chunk.decode("utf-8", "surrogateescape")
    if not text.strip():
        return []
    try:
        return getaddresses([text], strict=False)
    except TypeError:
        return getaddresses([text])
    except (ValueError, IndexError, AttributeError, RecursionError):
        return [("", text)]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


_GROUP = re.compile(rb'\s*("(?:[^"\\]|\\.)*"|[^":;,<>@()]+):((?:"(?:[^"\\]|\\.)*"|[^";])*);?\s*,?')


def _groups(value: bytes) -> list[tuple[bytes, bytes | None]]:
    """Stretches of plain addresses, and groups with their names."""
    found: list[tuple[bytes, bytes | None]] = []
    group = _GROUP.match(value)
    while group is not None:
        found.append((group[2], group[1].strip(b' \t"')))
        value = value[group.end() :]
        group = _GROUP.match(value)
    if value.strip():
        found.append((value, None))
    return found


def envelope(header: bytes) -> bytes:
    """ENVELOPE from a header."""
    values: dict[bytes, bytes] = {}
    for name, value in _WANTED.findall(header):
        key = name.lower()
        if key not in values:
            values[key] = unfold(value)
        elif key in (b"to", b"cc", b"bcc"):
            values[key] += b", " + unfold(value)
    get = values.get
    sender_list = _address_list(get(b"from"))
    sender = _address_list(get(b"sender"))
    reply_to = _address_list(get(b"reply-to"))
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        nstring(get(b"date")),
        nstring(get(b"subject")),
        sender_list,
        sender_list if sender == b"NIL" else sender,
        sender_list if reply_to == b"NIL" else reply_to,
        _address_list(get(b"to")),
        _address_list(get(b"cc")),
        _address_list(get(b"bcc")),
        nstring(get(b"in-reply-to")),
        nstring(get(b"message-id")),
    )


def _parameters(parameters: Parameters) -> bytes:
    if not parameters:
        return b"NIL"
    return b"(" + b" ".join([nstring(name) + b" " + nstring(value) for name, value in parameters]) + b")"


def _extension(part: Part) -> bytes:
    """Disposition, language and location (RFC 9051 7.5.2)."""
    disposition = b"NIL"
    if part.disposition is not None:
        disposition = b"(" + nstring(part.disposition[0]) + b" " + _parameters(part.disposition[1]) + b")"
    language = b"NIL"
    if part.language:
        language = b"(" + b" ".join([nstring(word) for word in part.language]) + b")"
    return b" " + disposition + b" " + language + b" " + nstring(part.location)


def body_structure(part: Part, data: bytes, extended: bool) -> bytes:
    """BODYSTRUCTURE (extended) or BODY. `data` is the whole message: a message inside it shows its envelope."""
    if part.type == b"multipart":
        inner = b"".join([body_structure(child, data, extended) for child in part.children])
        text = b"(" + inner + b" " + nstring(part.subtype)
        if extended:
            text += b" " + _parameters(part.parameters) + _extension(part)
        return text + b")"
    text = b"(%b %b %b %b %b %b %d" % (
        nstring(part.type),
        nstring(part.subtype),
        _parameters(part.parameters),
        nstring(part.id),
        nstring(part.description),
        nstring(part.encoding),
        part.size,
    )
    if part.type == b"message" and part.children:
        child = part.children[0]
        text += b" " + envelope(data[child.start : child.body]) + b" " + body_structure(child, data, extended)
        text += b" %d" % part.lines
    elif part.type == b"text":
        text += b" %d" % part.lines
    if extended:
        text += b" " + nstring(part.md5) + _extension(part)
    return text + b")"
