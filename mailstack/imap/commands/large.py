"""FETCH of what is too large for memory: sent block by block, with its transfer encoding undone on the way (RFC 3516)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from mailstack.imap.answers import no
from mailstack.imap.commands.literals import send_blocks
from mailstack.imap.commands.sections import Span, encoding_of, shown
from mailstack.imap.session import Session
from mailstack.message.mime import Part
from mailstack.message.transfer import UnknownEncoding, decoder
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.wire.imap.fetch import BinarySection, BinarySize, Item, Section
from mailstack.wire.imap.responses import without_nul


@dataclass(frozen=True, slots=True)
class Stream:
    """Octets of a message that are sent as they are read: `first` up to `end` of what comes out of the encoding."""

    span: Span
    encoding: bytes
    first: int
    end: int
    binary: bool  # whether NUL may be sent

    async def blocks(self, mailbox: Mailbox, uid: int) -> AsyncGenerator[bytes, None]:
        """Raises StoreProblem where they can't be had any more."""
        place = 0
        async with contextlib.aclosing(_decoded(mailbox, uid, self.span, self.encoding)) as blocks:
            async for block in blocks:
                part = block[max(0, self.first - place) : self.end - place]
                place += len(block)
                if part:
                    yield part if self.binary else without_nul(part)
                if place >= self.end:
                    return


async def _decoded(mailbox: Mailbox, uid: int, span: Span, encoding: bytes) -> AsyncGenerator[bytes, None]:
    undo = decoder(encoding)
    async with contextlib.aclosing(mailbox.blocks(uid, span[0], span[1] - span[0])) as blocks:
        async for block in blocks:
            yield undo.feed(block)
    yield undo.finish()


async def pieces_of(
    mailbox: Mailbox, uid: int, spans: Sequence[Span | None], tree: Part | None, items: Sequence[Item]
) -> list[bytes | Stream]:
    """The answer to each item; one that is a Stream has its name before it."""
    pieces: list[bytes | Stream] = []
    for item, span in zip(items, spans, strict=True):
        match item:
            case Section(names=()) if span is not None:
                size = span[1] - span[0]
                pieces += [item.label + b" {%d}\r\n" % size, Stream(span, b"8bit", 0, size, binary=False)]
            case BinarySection() | BinarySize() if span is not None:
                pieces += await _binary(mailbox, uid, item, span, tree)
            case _:
                data = None if span is None else await mailbox.read(uid, span[0], span[1] - span[0])
                pieces.append(shown(item, data, tree))
    return pieces


async def _binary(
    mailbox: Mailbox, uid: int, item: BinarySection | BinarySize, span: Span, tree: Part | None
) -> list[bytes | Stream]:
    """A literal says its size, and whether it has NULs, before it begins: so all is read twice."""
    first, end = 0, span[1] - span[0]  # no encoding makes more of it
    if isinstance(item, BinarySection) and item.start is not None:
        first, end = item.start, min(end, item.start + (item.length or 0))
    size, sign = 0, b""
    stream = Stream(span, encoding_of(item, tree), first, end, binary=True)
    try:
        async with contextlib.aclosing(stream.blocks(mailbox, uid)) as blocks:
            async for block in blocks:
                size += len(block)
                if b"\0" in block:
                    sign = b"~"
    except UnknownEncoding:
        raise no("A part's encoding is not known", "UNKNOWN-CTE") from None
    if isinstance(item, BinarySize):
        return [item.label + b" %d" % size]
    return [item.label + b" %b{%d}\r\n" % (sign, size), Stream(span, stream.encoding, first, first + size, binary=True)]


async def send(session: Session, mailbox: Mailbox, uid: int, pieces: Sequence[bytes | Stream], separator: bytes) -> None:
    """One after the other. Raises ConnectionResetError where a literal can't be completed."""
    for piece in pieces:
        if isinstance(piece, bytes):
            session.write(separator + piece)
            separator = b" "
            continue
        await send_blocks(session, piece.blocks(mailbox, uid), piece.end - piece.first)
