"""What a classifier learns of a message: its words, and what its header and its links tell. Bounded, whatever comes in."""

import re
import unicodedata
from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice

from mailstack.message.collation import casemap
from mailstack.message.header import addresses, every
from mailstack.message.mime import walk
from mailstack.message.text import Searchable, read_message

MESSAGE_LIMIT = 131_072  # octets that are looked at
TEXT_LIMIT = 65_536  # characters of texts
TOKEN_LIMIT = 2_000  # of one message
LONG = 24  # characters from which on a word is only known by its length

_WORD = re.compile(r"[\w$€£%'’-]{3,}")
_LINK = re.compile(r"\b(?:https?://|www\.)(?:[^\s/@\"<>]*@)?([\w.-]+\.[a-z]{2,})(:[0-9]+)?")
# Scripts without blanks between words: each pair of characters is one.
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]{2,}")
_EXPECTED = ("date", "message-id", "to", "list-unsubscribe", "in-reply-to")
_HEADERS = ("x-mailer", "user-agent", "content-type", "list-id", "precedence")


def tokens(data: bytes) -> list[str]:
    """Each once. Never raises; the octets after MESSAGE_LIMIT are not looked at."""
    data = data[:MESSAGE_LIMIT]
    message = read_message(data)
    body = _lower(message.body[:TEXT_LIMIT])
    found: dict[str, None] = {}
    for source in (_of_header(message, data), _of_links(body), _words(body, ""), _of_parts(data)):
        for token in islice(source, TOKEN_LIMIT * 10):
            found[token] = None
            if len(found) >= TOKEN_LIMIT:
                return list(found)
    return list(found)


def key(token: str) -> int:
    """What a token is kept by: no text of anybody's mail stands in a classifier's file."""
    return int.from_bytes(blake2b(token.encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True)


def _words(text: str, prefix: str) -> Iterator[str]:
    for word in _WORD.findall(text):
        if len(word) <= LONG:
            yield prefix + word
        else:
            yield f"{prefix}long:{min(len(word) // 10, 20)}"
            yield from _pairs(word[:2000], prefix)


def _pairs(word: str, prefix: str) -> Iterator[str]:
    for run in _DENSE.findall(word):
        for start in range(len(run) - 1):
            yield prefix + run[start : start + 2]


def _of_header(message: Searchable, data: bytes) -> Iterator[str]:
    for value in _values(message, "subject", 1000)[:2]:
        yield from _words(value, "subject:")
        yield from (word for word in _WORD.findall(value) if len(word) <= LONG)
    for name in ("from", "reply-to"):
        for value in _values(message, name, 1000)[:2]:
            yield from _people(value, name)
    for name in _HEADERS:
        for value in _values(message, name, 200)[:1]:
            yield from _words(value, f"{name}:")
    yield f"recipients:{min(sum(len(addresses(one[:10000])) for one in every(data[:65536], b'to')), 10)}"
    for name in _EXPECTED:
        if not message.values(casemap(name)):
            yield f"without:{name}"


def _values(message: Searchable, name: str, limit: int) -> list[str]:
    """Lower case, as the texts are."""
    return [_lower(value[:limit]) for value in message.values(casemap(name))]


def _lower(text: str) -> str:
    """Characters whole again, which casemap() took apart: an accent alone is no part of a word."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.lower())


def _people(value: str, name: str) -> Iterator[str]:
    for one in addresses(value.encode("utf-8", "replace"))[:3]:
        yield f"{name}:{one.local}@{one.domain}"
        yield f"{name}:@{one.domain}"
        yield from _words(one.name, f"{name}-name:")


def _of_links(body: str) -> Iterator[str]:
    for host, port in islice(_LINK.findall(body), 200):
        yield f"link:{host}"
        yield f"link:{'.'.join(host.split('.')[-2:])}"
        if port:
            yield "link:port"


def _of_parts(data: bytes) -> Iterator[str]:
    pending = [walk(data)]
    for _ in range(50):
        if not pending:
            return
        part = pending.pop()
        pending += part.children
        yield f"part:{part.type.decode('latin-1')}/{part.subtype.decode('latin-1')}"[:60]
        name = dict(part.disposition[1]).get(b"filename") if part.disposition else None
        if name and b"." in name:
            yield f"file:.{name.rpartition(b'.')[2].decode('latin-1').lower()[:10]}"
