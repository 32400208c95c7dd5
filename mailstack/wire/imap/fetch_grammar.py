"""The items of a FETCH (RFC 9051 6.4.5, RFC 3516)."""

import re
from types import MappingProxyType
from typing import Final

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap.fetch import Attribute, BinarySection, BinarySize, Item, Kind, Section
from mailstack.wire.imap.responses import string
from mailstack.wire.imap.scanner import Scanner

_ITEM = re.compile(rb"[A-Za-z0-9.]+")
_SECTION = re.compile(rb"\[((?:[0-9]+\.)*[0-9]*)([A-Za-z.]*)")
_PLAIN_NAME = re.compile(rb'[^(){%*"\\\]]+')
_LAZY = re.compile(rb" \(LAZY(?: LAZY)*\)", re.IGNORECASE)
_PARTIAL = re.compile(rb"<([0-9]{1,10})\.([0-9]{1,10})>")
_MACROS: Final = MappingProxyType(
    {
        b"FAST": (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE),
        b"ALL": (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE, Attribute.ENVELOPE),
        b"FULL": (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE, Attribute.ENVELOPE, Attribute.BODY),
    }
)
_ATTRIBUTES: Final = MappingProxyType({attribute.value: attribute for attribute in Attribute})
_OLD: Final = MappingProxyType(
    {
        b"RFC822": Section(label=b"RFC822"),
        b"RFC822.HEADER": Section(kind=Kind.HEADER, peek=True, label=b"RFC822.HEADER"),
        b"RFC822.TEXT": Section(kind=Kind.TEXT, label=b"RFC822.TEXT"),
    }
)
_KINDS: Final = MappingProxyType({kind.value: kind for kind in Kind})
ITEM_LIMIT = 200


def fetch_items(scanner: Scanner) -> tuple[Item, ...]:
    """One item, a macro, or a list of items."""
    if not scanner.skip(b"("):
        word = _ITEM.match(scanner.text, scanner.position)
        macro = _MACROS.get(word[0].upper()) if word else None
        if word is not None and macro is not None:
            scanner.position = word.end()
            return macro
        return (_item(scanner),)
    items = [_item(scanner)]
    while not scanner.skip(b")"):
        scanner.space()
        if scanner.skip(b")"):
            break
        items.append(_item(scanner))
        if len(items) > ITEM_LIMIT:
            raise SyntaxProblem("too many FETCH items")
    if Attribute.PREVIEW in items and Attribute.PREVIEW_LAZY in items:
        items.remove(Attribute.PREVIEW_LAZY)  # one answer is enough, and the other one was asked for as well
    return tuple(dict.fromkeys(items))


def _item(scanner: Scanner) -> Item:
    name = scanner.take(_ITEM, "FETCH item")[0].upper()
    if scanner.peek() == b"[":
        if name in (b"BODY", b"BODY.PEEK"):
            return section(scanner, peek=name == b"BODY.PEEK")
        if name in (b"BINARY", b"BINARY.PEEK"):
            return _binary(scanner, peek=name == b"BINARY.PEEK")
        if name == b"BINARY.SIZE":
            parts, text = _binary_parts(scanner)
            return BinarySize(parts, b"BINARY.SIZE[" + text + b"]")
        raise SyntaxProblem("unknown FETCH item")
    if name in _OLD:
        return _OLD[name]
    attribute = _ATTRIBUTES.get(name)
    if attribute is None:
        raise SyntaxProblem("unknown FETCH item")
    return _preview(scanner) if attribute is Attribute.PREVIEW else attribute


def _preview(scanner: Scanner) -> Attribute:
    """RFC 8970 6: the modifiers in parentheses."""
    found = _LAZY.match(scanner.text, scanner.position)
    if found is None:
        return Attribute.PREVIEW  # what follows in parentheses may be a modifier of FETCH
    scanner.position = found.end()
    return Attribute.PREVIEW_LAZY


def _numbers(text: bytes) -> tuple[int, ...]:
    if not text:
        return ()
    numbers = []
    for piece in text.split(b"."):
        if not piece.isdigit() or len(piece) > 9 or int(piece) == 0:
            raise SyntaxProblem("part numbers count from 1")
        numbers.append(int(piece))
    return tuple(numbers)


def section(scanner: Scanner, *, peek: bool) -> Section:
    """`[...]` with what stands in it, and a partial behind it."""
    found = scanner.take(_SECTION, "section")
    digits, word = found[1], found[2].upper()
    if word and digits and not digits.endswith(b"."):
        raise SyntaxProblem("not a section")
    parts = _numbers(digits.rstrip(b".") if word else digits)
    kind = _KINDS.get(word)
    if kind is None or (kind is Kind.MIME and not parts):
        raise SyntaxProblem("unknown section")
    names: list[bytes] = []
    shown = digits + word
    if kind in (Kind.HEADER_FIELDS, Kind.HEADER_FIELDS_NOT):
        scanner.space()
        scanner.expect(b"(")
        written = []
        while not scanner.skip(b")"):
            scanner.skip(b" ")
            if scanner.skip(b")"):
                break
            name = scanner.astring()
            if not name or b":" in name or not name.isascii() or any(octet <= 0x20 or octet == 0x7F for octet in name):
                raise SyntaxProblem("not a header field's name")
            names.append(name.lower())
            written.append(name if _PLAIN_NAME.fullmatch(name) else string(name))
        if not names:
            raise SyntaxProblem("header field names expected")
        shown += b" (" + b" ".join(written) + b")"
    scanner.expect(b"]")
    start, length = _partial(scanner)
    label = b"BODY[" + shown + b"]" + (b"<%d>" % start if start is not None else b"")
    return Section(parts, kind, tuple(names), peek, start, length, label)


def _partial(scanner: Scanner) -> tuple[int | None, int | None]:
    if scanner.peek() != b"<":
        return None, None
    found = scanner.take(_PARTIAL, "partial")
    if int(found[2]) == 0:
        raise SyntaxProblem("a partial of no octets")
    return int(found[1]), int(found[2])


def _binary_parts(scanner: Scanner) -> tuple[tuple[int, ...], bytes]:
    found = scanner.take(_SECTION, "section")
    if found[2]:
        raise SyntaxProblem("BINARY takes part numbers only")
    scanner.expect(b"]")
    return _numbers(found[1]), found[1]


def _binary(scanner: Scanner, *, peek: bool) -> BinarySection:
    parts, text = _binary_parts(scanner)
    start, length = _partial(scanner)
    label = b"BINARY[" + text + b"]" + (b"<%d>" % start if start is not None else b"")
    return BinarySection(parts, peek, start, length, label)
