"""IMAP's ENVELOPE and BODYSTRUCTURE as the bytes to send (RFC 9051 7.5.2)."""

import re

from mailstack.message.addresslist import Entry, Group, mailboxes
from mailstack.message.header import each, unfold
from mailstack.message.mime import HEADER_LIMIT, Octets, Part
from mailstack.message.parameters import Parameters

_WANTED = re.compile(
    rb"\n(date|subject|from|sender|reply-to|to|cc|bcc|in-reply-to|message-id)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)",
    re.IGNORECASE,
)
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]*")
# One address of the kind that nearly all mails carry: Name <local@domain> or local@domain.
_ATEXT = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]++"
_SIMPLE = re.compile(
    rb'[ \t]*+(?:"([^"\\\x00-\x08\x0a-\x1f\x7f-\xff]*+)"[ \t]*+<|([A-Za-z0-9 .!#$%&\'*+/=?^_`{|}~-]*+)<)?('
    + _ATEXT + rb")@(" + _ATEXT + rb")(>)?[ \t]*+(?:,|$)"
)  # fmt: skip
ADDRESSES_LIMIT = 1 << 15  # octets of an address field that are looked at
ADDRESSES_MOST = 1000  # addresses of one that are shown: a folder is listed in one go, and strangers wrote what is in it

_LISTS = frozenset({b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"})
TEXT_LIMIT = 1 << 14  # octets of any other field in an ENVELOPE


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
    if len(value) > ADDRESSES_LIMIT:
        value = value[: value.rfind(b",", 0, ADDRESSES_LIMIT) + 1]
    out: list[bytes] = []
    position = 0
    while position < len(value):
        found = _SIMPLE.match(value, position)
        if found is None or (found[1] is None and found[2] is None) is not (found[5] is None):
            return _address_list_slowly(value)
        name = found[1] if found[1] is not None else (found[2] or b"").rstrip()
        out.append(b'(%b NIL "%b" "%b")' % (b'"' + name + b'"' if name else b"NIL", found[3], found[4]))
        position = found.end()
        if len(out) >= ADDRESSES_MOST:
            break
    return b"(" + b"".join(out) + b")" if out else b"NIL"


def _address_list_slowly(value: bytes) -> bytes:
    """Groups, comments, quoted local parts and what is broken (RFC 9051 7.5.2)."""
    out: list[bytes] = []
    for entry in mailboxes(value, ADDRESSES_MOST):
        match entry:
            case Group(name):
                out.append(b"(NIL NIL " + nstring(name) + b" NIL)")
            case Entry(name, route, local, domain):
                # NIL as a host would be a group.
                out.append(b"(%b %b %b %b)" % (nstring(name), nstring(route), nstring(local), nstring(domain)))
    return b"(" + b"".join(out) + b")" if out else b"NIL"


def envelope(header: bytes) -> bytes:
    """ENVELOPE from a header."""
    values: dict[bytes, bytes] = {}
    more: dict[bytes, list[bytes]] = {}
    for name, value in each(_WANTED, b"\n" + header[:HEADER_LIMIT]):
        key = name.lower()
        if key not in values:
            values[key] = unfold(value) if key in _LISTS else unfold(value[:TEXT_LIMIT])
        elif key in (b"to", b"cc", b"bcc"):
            more.setdefault(key, [values[key]]).append(unfold(value))
    for key, several in more.items():
        values[key] = b", ".join(several)
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


def body_structure(part: Part, data: Octets, extended: bool) -> bytes:
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
