"""What a client can ask again is kept as the bytes to send: ENVELOPE, BODYSTRUCTURE, PREVIEW, threads, part trees, the header
fields that clients ask for, in packs of 256 UIDs.
"""

from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from mailstack.message import mime, sortkeys, structure
from mailstack.message.conversation import thread_id
from mailstack.message.header import KEPT_FIELDS, choose_fields
from mailstack.message.preview import preview
from mailstack.store.errors import MessageGone
from mailstack.store.mailbox.files import MailFiles
from mailstack.wire.imap.responses import string

PACK = 256
ENVELOPE, STRUCTURE, BODY, PARTS = "envelope", "structure", "body", "tree"
PREVIEW, SORT, THREAD, FIELDS = "preview", "sort", "thread", "fields"
PREVIEW_FROM = (1 << 15, 1 << 18)  # octets of a message that are enough for most previews, and for nearly all

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[int, bytes])


def dump(pack: dict[int, bytes]) -> bytes:
    return _encoder.encode(pack)


def load(data: bytes) -> dict[int, bytes]:
    return _decoder.decode(data)


def compute(maildir: MailFiles, kind: str, files: Iterable[tuple[int, bytes, bool]]) -> dict[str, dict[int, bytes]]:
    """Kind -> UID -> answer, for files given as (UID, path, convert to CRLF). Messages that are gone are left out.

    A client that asks for the structure of a mail asks for one of its parts next: one walk gives both.
    """
    found: dict[str, dict[int, bytes]] = {kind: {}}
    if kind in (STRUCTURE, PARTS):
        found = {STRUCTURE: {}, PARTS: {}}
    for uid, path, convert in files:
        try:
            if kind == ENVELOPE:
                found[kind][uid] = structure.envelope(maildir.header(path, convert=convert, limit=mime.HEADER_LIMIT))
                continue
            if kind == FIELDS:
                found[kind][uid] = choose_fields(maildir.header(path, convert=convert), KEPT_FIELDS)
                continue
            if kind == SORT:
                found[kind][uid] = sortkeys.dump(sortkeys.keys(maildir.header(path, convert=convert, limit=mime.HEADER_LIMIT)))
                continue
            if kind == THREAD:
                found[kind][uid] = thread_id(maildir.header(path, convert=convert, limit=mime.HEADER_LIMIT)) or b""
                continue
            if kind == PREVIEW:
                found[kind][uid] = string(_preview(maildir, path, convert).encode())
                continue
            with maildir.looking_at(path, convert=convert) as data:
                part = mime.walk(data)
                for one, answers in found.items():
                    answers[uid] = mime.dump(part) if one == PARTS else structure.body_structure(part, data, one == STRUCTURE)
        except (MessageGone, FileNotFoundError):
            continue
    return found


def _preview(maildir: MailFiles, path: bytes, convert: bool) -> str:
    """From the beginning of the file, if that will do: the text mostly comes before what is attached."""
    for length in PREVIEW_FROM:
        data = maildir.read(path, 0, length, convert=convert)
        words = preview(mime.walk(data), data)
        if words or len(data) < length:
            return words
    with maildir.looking_at(path, convert=convert) as whole:
        return preview(mime.walk(whole), whole)


class AccountAnswers:
    """One account's part of the cache. A Maildir that was copied from another account has the same mailbox ids."""

    def __init__(self, cache: "AnswerCache", account: str) -> None:
        self._cache = cache
        self._account = account

    def get(self, mailbox: str, kind: str, number: int) -> dict[int, bytes] | None:
        return self._cache.get(f"{self._account}/{mailbox}", kind, number)

    def put(self, mailbox: str, kind: str, number: int, pack: dict[int, bytes]) -> None:
        self._cache.put(f"{self._account}/{mailbox}", kind, number, pack)

    def yield_room(self, mailbox: str, kind: str, number: int) -> None:
        self._cache.yield_room(f"{self._account}/{mailbox}", kind, number)


class AnswerCache:
    """Packs in memory, the least recently used go first. Shared by all accounts, on the event loop only."""

    def __init__(self, limit: int = 64 << 20) -> None:
        self._limit = limit
        self._octets = 0
        self._packs: OrderedDict[tuple[str, str, int], tuple[dict[int, bytes], int]] = OrderedDict()

    def get(self, mailbox: str, kind: str, number: int) -> dict[int, bytes] | None:
        entry = self._packs.get((mailbox, kind, number))
        if entry is None:
            return None
        self._packs.move_to_end((mailbox, kind, number))
        return entry[0]

    def put(self, mailbox: str, kind: str, number: int, pack: dict[int, bytes]) -> None:
        size = sum(map(len, pack.values())) + 120 * len(pack)
        old = self._packs.pop((mailbox, kind, number), None)
        if old is not None:
            self._octets -= old[1]
        self._packs[(mailbox, kind, number)] = (pack, size)
        self._octets += size
        while self._octets > self._limit and len(self._packs) > 1:
            _, (_, dropped) = self._packs.popitem(last=False)
            self._octets -= dropped

    def yield_room(self, mailbox: str, kind: str, number: int) -> None:
        """Go first when room is needed: the index has it, or it is kept in another form."""
        if (mailbox, kind, number) in self._packs:
            self._packs.move_to_end((mailbox, kind, number), last=False)
