"""EXPUNGE and UID EXPUNGE (RFC 9051 6.4.3, 6.4.9)."""

from mailstack.imap.answers import no
from mailstack.imap.places import not_allowed
from mailstack.imap.session import Session
from mailstack.policy.rights import Rights
from mailstack.wire.imap import commands as c


async def expunge(session: Session, command: c.Expunge) -> str:
    selected = session.box
    if selected.read_only:
        raise no("The mailbox was opened read-only", "READ-ONLY")
    if Rights.EXPUNGE not in selected.rights:
        raise not_allowed()
    uids = selected.uids if command.uids is None else selected.choose(command.uids, uid=True)
    gone = await selected.mailbox.expunge(uids)
    if gone and selected.condstore:
        return f"[HIGHESTMODSEQ {selected.mailbox.highest_modseq}] Expunged"
    return "Expunged"
