"""The octets of a message that a URL names, for CATENATE and URLFETCH."""

from dataclasses import dataclass

from mailstack.imap.commands.sections import choose_fields, stretch
from mailstack.store.errors import MessageGone
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.wire.imap.fetch import Kind
from mailstack.wire.imap.url import MessageUrl


@dataclass(frozen=True, slots=True)
class Stretch:
    """Offsets of the message."""

    start: int
    end: int


async def find_stretch(mailbox: Mailbox, url: MessageUrl) -> Stretch | bytes | None:
    """Where they are, or the octets themselves where they are no stretch (chosen header fields); None where the URL means
    nothing in that mailbox. Raises MessageGone.
    """
    place = mailbox.position(url.uid)
    if place is None or (url.uid_validity is not None and url.uid_validity != mailbox.uid_validity):
        return None
    size = mailbox.sizes[place]
    section = url.section
    tree = None
    if section.parts or section.kind is not Kind.WHOLE:
        tree = (await mailbox.parts([url.uid])).get(url.uid)
        if tree is None:
            raise MessageGone
    span = stretch(section, tree, size)
    if span is None:
        return None
    start, end = span
    if section.names:
        chosen = choose_fields(await mailbox.read(url.uid, start, end - start), section)
        return chosen[url.start : None if url.length is None else url.start + url.length]
    start = min(end, start + url.start)
    return Stretch(start, end if url.length is None else min(end, start + url.length))
