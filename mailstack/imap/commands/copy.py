"""COPY and MOVE (RFC 9051 6.4.7, 6.4.8), also between one's own account and another's."""

from collections.abc import Sequence

from mailstack.imap.answers import no
from mailstack.imap.commands.append import missing, target
from mailstack.imap.happening import after_copy
from mailstack.imap.limiting import last_of
from mailstack.imap.places import Place, not_allowed
from mailstack.imap.session import Session
from mailstack.imap.teaching import teach_move
from mailstack.policy.rights import REMOVING, changeable
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.across import copy_across
from mailstack.store.mailbox.values import Copied
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.sequence import compact_in_order


def _copyuid(copied: Copied) -> str:
    sources, uids = compact_in_order(copied.sources).decode(), compact_in_order(copied.uids).decode()
    return f"[COPYUID {copied.uid_validity} {sources} {uids}]"


async def copy(session: Session, command: c.Copy) -> str:
    selected = session.box
    uids, code = last_of(selected.choose(command.set, uid=command.uid), session.services.copy_limit)
    if code is not None:
        raise no("That is too many messages for one COPY", code)  # all or none
    place = await target(session, command.mailbox)
    try:
        if selected.in_account(place):
            copied = await selected.mailbox.copy(uids, place.name, changeable(place.rights))
        else:
            copied = await _across(session, uids, place)
    except NoSuchMailbox:
        raise missing(place) from None
    session.did_itself(place, copied.uids)
    await teach_move(session, place, copied.uids)
    await after_copy(session, place, copied.uids)
    return f"{_copyuid(copied)} Copied" if copied.uids else "Nothing to copy"


async def move(session: Session, command: c.Move) -> str:
    selected = session.box
    if selected.read_only:
        raise no("The mailbox was opened read-only", "READ-ONLY")
    if REMOVING not in selected.rights:
        raise not_allowed()  # it is COPY, STORE and EXPUNGE in one, and needs what these need
    uids, code = last_of(selected.choose(command.set, uid=command.uid), session.services.message_limit)
    place = await target(session, command.mailbox)
    try:
        if selected.in_account(place):
            copied = await selected.mailbox.move(uids, place.name, changeable(place.rights))
        else:
            copied = await _across(session, uids, place)
            if REMOVING not in selected.rights:
                raise not_allowed()  # taken back meanwhile: it was a COPY
            # They are durable there: only now they go here. What comes between leaves both, never none.
            await selected.mailbox.expunge(copied.sources, force=True, keep=False)
    except NoSuchMailbox:
        raise missing(place) from None
    if not copied.uids:
        return "Nothing to move"
    session.did_itself(place, copied.uids)
    await teach_move(session, place, copied.uids)
    # RFC 9051 6.4.8: COPYUID goes before the EXPUNGE responses.
    session.write(f"* OK {_copyuid(copied)} Moved\r\n".encode())
    await after_copy(session, place, copied.uids)
    highest = f"HIGHESTMODSEQ {session.box.mailbox.highest_modseq}" if session.box.condstore else None
    if code is not None and highest is not None:
        session.write(f"* OK [{highest}] Moved\r\n".encode())
    found = code or highest
    return "Done" if found is None else f"[{found}] Done"


async def _across(session: Session, uids: Sequence[int], place: Place) -> Copied:
    """The other account is kept open meanwhile."""
    place.account.hold()
    try:
        may = changeable(place.rights)
        spool, told = session.services.spool, session.progress.count
        return await copy_across(session.box.mailbox, uids, place.account, place.name, may, spool, told)
    finally:
        place.account.let_go()
