"""EXPUNGE and UID EXPUNGE (RFC 9051 6.4.3, 6.4.9)."""

from collections.abc import Sequence

from mailstack.imap.answers import no
from mailstack.imap.limiting import last_of
from mailstack.imap.places import not_allowed
from mailstack.imap.selected import Selected
from mailstack.imap.session import Session
from mailstack.message.flag import Flags
from mailstack.policy.rights import Rights
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.sequence import SequenceSet


async def expunge(session: Session, command: c.Expunge) -> str:
    selected = session.box
    if selected.read_only:
        raise no("The mailbox was opened read-only", "READ-ONLY")
    if Rights.EXPUNGE not in selected.rights:
        raise not_allowed()
    code = None
    uids: Sequence[int] = selected.uids
    if command.uids is not None:  # RFC 9738 3.1: no limit for all that are marked
        uids, code = last_of(_marked(selected, command.uids), session.services.message_limit)
    gone = await selected.mailbox.expunge(uids)
    highest = f"HIGHESTMODSEQ {selected.mailbox.highest_modseq}" if gone and selected.condstore else None
    if code is not None and highest is not None:
        session.write(f"* OK [{highest}] Expunged\r\n".encode())
    shown = code or highest
    return "Expunged" if shown is None else f"[{shown}] Expunged"


def _marked(selected: Selected, numbers: SequenceSet) -> Sequence[int]:
    mailbox = selected.mailbox
    deleted = int(Flags.DELETED)
    uids = selected.choose(numbers, uid=True)
    return [uid for uid in uids if (place := mailbox.position(uid)) is not None and mailbox.flags[place] & deleted]
