"""Messages that a client puts into a mailbox, and flags that it changes, are events on which scripts run (RFC 6785 2.2).

Rule: the command is done before; what a script makes of it is told like any other change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mailstack.delivery.events import NO_FLAGS, Event, flag_names
from mailstack.imap.places import Place
from mailstack.store.errors import StoreProblem

if TYPE_CHECKING:
    from mailstack.imap.session import Session


async def after_append(session: Session, place: Place, uids: Sequence[int]) -> None:
    """Each message is an event of its own."""
    await _happened(session, place, "APPEND", uids)


async def after_copy(session: Session, place: Place, uids: Sequence[int]) -> None:
    """COPY, and MOVE, which no RFC knows another name for."""
    await _happened(session, place, "COPY", uids)


async def flags_before(session: Session, uids: Sequence[int]) -> dict[int, int] | None:
    """Of messages of the selected mailbox, before they are changed; None where no script asks."""
    events, mailbox = session.services.events, session.box.mailbox
    place = session.box.place or Place(session.mail, mailbox.name)
    if events is None:
        return None
    try:
        if await events.script(place.account, place.name) is None:
            return None
    except StoreProblem:
        return None
    return {uid: mailbox.flags[at] for uid in uids if (at := mailbox.position(uid)) is not None}


async def after_flags(session: Session, uids: Sequence[int], before: Mapping[int, int] | None) -> None:
    """Messages of the selected mailbox have other flags now."""
    if not before or not uids:
        return
    mailbox = session.box.mailbox
    changed: dict[int, tuple[str, ...]] = {}
    for uid in uids:
        at = mailbox.position(uid)
        if at is not None and uid in before:
            changed[uid] = flag_names(mailbox, mailbox.flags[at] ^ before[uid])
    place = session.box.place or Place(session.mail, mailbox.name)
    await _happened(session, place, "FLAG", tuple(changed), changed)


async def _happened(
    session: Session, place: Place, cause: str, uids: Sequence[int], flags: Mapping[int, tuple[str, ...]] = NO_FLAGS
) -> None:
    events = session.services.events
    if events is None or not uids:
        return
    owner = place.access.owner.record if place.access is not None else session.known
    event = Event(cause, place.account, owner, place.name, uids, session.known.address, flags)
    await events.happened(event, session.progress.count)
