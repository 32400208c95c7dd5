"""UIDBATCHES (RFC 10022): where to cut a mailbox so that a client can take it in pieces."""

from collections.abc import Iterator, Sequence

from mailstack.imap.answers import bad, no
from mailstack.imap.session import Session
from mailstack.wire.imap import commands as c

SMALLEST = 500  # RFC 10022 3.1.3.2


async def uid_batches(session: Session, command: c.UidBatches) -> str:
    if command.last is not None and command.last < command.first:
        raise bad("Batches count upwards", "CLIENTBUG")
    if command.size < SMALLEST:
        raise no(f"A batch has at least {SMALLEST} messages", "TOOFEW")
    ranges = [b"%d:%d" % one for one in batches(session.box.uids, command.size, command.first, command.last)]
    shown = b" " + b",".join(ranges) if ranges else b""
    session.write(b'* UIDBATCHES (TAG "%b")%b\r\n' % (session.connection.current_tag, shown))
    return "UIDBATCHES done"


def batches(uids: Sequence[int], size: int, first: int, last: int | None) -> Iterator[tuple[int, int]]:
    """The ranges, each from its highest to its lowest UID. Batch 1 has the highest of all; the last one ends at 1, so that the
    client knows it for the last. No message can come into one: what the client was not told of is above the first.
    """
    count = -(-len(uids) // size)
    for number in range(first, min(count, last or count) + 1):
        end = len(uids) - (number - 1) * size
        yield uids[end - 1] if number == 1 else uids[end] - 1, uids[end - size] if end > size else 1
