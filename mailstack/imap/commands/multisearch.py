"""ESEARCH (RFC 7377): one search over many mailboxes, without a word to the selected one."""

from __future__ import annotations

from collections.abc import AsyncIterator

from mailstack.imap.answers import Refused, bad
from mailstack.imap.commands import context, results
from mailstack.imap.commands.criteria import evaluate
from mailstack.imap.places import Place, find, listing
from mailstack.imap.selected import Selected
from mailstack.imap.session import Session
from mailstack.policy.rights import Rights
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.foldername import SEPARATOR, normalise
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.responses import mailbox as mailbox_name
from mailstack.wire.imap.search import needs_modseq, resolved
from mailstack.wire.imap.search_sources import THE_SELECTED, Scope


async def esearch(session: Session, command: c.SearchMailboxes) -> str:
    if THE_SELECTED in command.sources and session.selected is None:
        raise bad("No mailbox is selected")
    going = await context.begin(session, command.key, command.returns)
    if needs_modseq(command.key):
        session.enable_condstore()
    if command.sources == (THE_SELECTED,):
        found = await results.found(session, going.key, command.returns)
        results.save(session.box, found, command.returns)
        await _tell(session, command, session.box, found)
        going.keep(found, uid=True, more=_correlators(session, session.box))
        return "ESEARCH done"
    kept = False
    async for view in _views(session, command):
        here = view is session.selected
        key = going.key if here else resolved(going.expanded, session.services.clock())
        found = await evaluate(view, key, view.uids)
        await _tell(session, command, view, found)
        if here:
            kept = True
            going.keep(found, uid=True, more=_correlators(session, view))
        await session.connection.drain()
    if not kept:
        going.refuse()  # RFC 7377 2.2: UPDATE is for the selected mailbox
    return "ESEARCH done"


async def _tell(session: Session, command: c.SearchMailboxes, view: Selected, found: results.Found) -> None:
    """RFC 7377 2.1: a mailbox in which nothing was found is not spoken of."""
    if not found:
        return
    correlator = b'(TAG "%b"%b)' % (session.connection.current_tag, _correlators(session, view))
    line = await results.items(session, view, found, command.returns, uid=True, key=command.key)
    session.write(b"* ESEARCH " + correlator + line + b"\r\n")


def _correlators(session: Session, view: Selected) -> bytes:
    name = mailbox_name(view.place.shown if view.place is not None else view.mailbox.name, utf8=session.utf8)
    return b" MAILBOX %b UIDVALIDITY %d" % (name, view.mailbox.uid_validity)


async def _views(session: Session, command: c.SearchMailboxes) -> AsyncIterator[Selected]:
    """Each mailbox once, as it is now; the selected one as the client knows it."""
    here = session.selected
    seen: set[str] = set()
    if here is not None and THE_SELECTED in command.sources:
        seen.add(here.mailbox.id)
        yield here
    async for place, needed in _places(session, command):
        try:
            mailbox = await place.open(needed)
        except (StoreProblem, Refused):
            continue  # RFC 7377 2.2: what may not be read is passed over
        view = Selected(mailbox, True, None, place)
        try:
            if mailbox.id not in seen:
                seen.add(mailbox.id)
                yield here if here is not None and here.mailbox is mailbox else view
        finally:
            view.close()


async def _places(session: Session, command: c.SearchMailboxes) -> AsyncIterator[tuple[Place, Rights]]:
    """What was named needs to be readable, the rest to be seen too (RFC 7377 2.2)."""
    known = {name: one for name, one in (await listing(session)).items() if one.info.selectable}
    for source in command.sources:
        explicit = source.scope is Scope.MAILBOXES
        names = (
            source.names
            if explicit
            else [name for name, one in known.items() if _about(source.scope, source.names, name, one.info.subscribed)]
        )
        for name in names:
            try:
                yield await find(session, name), Rights.READ if explicit else Rights.READ | Rights.LOOKUP
            except StoreProblem:
                continue


def _about(scope: Scope, tops: tuple[str, ...], name: str, subscribed: bool) -> bool:
    match scope:
        case Scope.SELECTED:
            return False
        case Scope.INBOXES:
            return name == "INBOX"  # RFC 5465 6.3: where deliveries come in
        case Scope.PERSONAL:
            return not name.startswith("Shared" + SEPARATOR)
        case Scope.SUBSCRIBED:
            return subscribed
        case _:
            normal = [normalise(top) for top in tops]
            below = [name[len(top) + 1 :] for top in normal if name.startswith(top + SEPARATOR)]
            return name in normal or any(scope is Scope.SUBTREE or SEPARATOR not in rest for rest in below)
