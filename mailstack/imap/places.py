"""The way from a name to a mailbox: one's own, or `Shared/<owner's address>/<mailbox>`, with what may be done there.

Rule: every command finds mailboxes here, and asks for the rights it needs. What a session may not look up is answered like
what is not there (RFC 4314 6). Rights are read from the mailbox each time: what was taken back is gone at once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mailstack.imap.answers import Refused, no
from mailstack.policy.rights import ALL, NONE, Rights
from mailstack.policy.sharing import Owner, Sharing
from mailstack.store.errors import NoSuchMailbox, StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.foldername import SEPARATOR, normalise
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.values import MailboxInfo
from mailstack.store.users.directory import AccountRecord

if TYPE_CHECKING:
    from mailstack.imap.session import Session

SHARED = "Shared"
PREFIX = SHARED + SEPARATOR


@dataclass(frozen=True, slots=True)
class Access:
    """How a session comes to another account's mailboxes."""

    sharing: Sharing
    owner: Owner
    me: AccountRecord

    def rights(self, mailbox: Mailbox) -> Rights:
        return self.sharing.rights(self.owner, mailbox.grants, self.me)


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an account. `access` is None where the account is the session's own."""

    account: Account
    name: str  # as the account calls it
    prefix: str = ""  # what stands before it in this session
    access: Access | None = None

    @property
    def shown(self) -> str:
        """As this session calls it."""
        return self.prefix + self.name

    @property
    def shared(self) -> bool:
        return self.access is not None

    def rights_in(self, mailbox: Mailbox) -> Rights:
        return ALL if self.access is None else self.access.rights(mailbox)

    def names(self, mailbox: Mailbox) -> bool:
        """Whether it is that mailbox."""
        try:
            return self.account.look(self.name) is mailbox
        except NoSuchMailbox:
            return False

    @property
    def rights(self) -> Rights:
        """All in one's own account, whatever is there; none where no mailbox is."""
        if self.access is None:
            return ALL
        try:
            return self.access.rights(self.account.look(self.name))
        except NoSuchMailbox:
            return NONE

    def require(self, needed: Rights) -> None:
        """Raises NoSuchMailbox, or NO [NOPERM] where the session may know that the mailbox is there."""
        _require(self, self.rights, needed)

    @property
    def rights_above(self) -> Rights:
        """In the nearest mailbox above: who may create below it (RFC 4314 4)."""
        above = self.account.above(self.name)
        return NONE if above is None else self.rights_in(above)

    @property
    def may_create(self) -> bool:
        return self.access is None or Rights.CREATE in self.rights_above

    def require_creation(self) -> None:
        """Of a mailbox of this name. Raises as require() does."""
        if self.may_create:
            return
        above = self.account.above(self.name)
        while above is not None:
            if Rights.LOOKUP in self.rights_in(above):
                raise not_allowed()
            above = self.account.above(above.name)
        raise NoSuchMailbox(self.shown)

    async def open(self, needed: Rights) -> Mailbox:
        """The mailbox to work with, if the session may. Call its release() when done."""
        self.require(needed)
        mailbox = await self.account.open(self.name)
        try:
            # Another one may have come to that name, or the rights may have gone, while it was opened.
            _require(self, self.rights_in(mailbox), needed)
        except BaseException:
            mailbox.release()
            raise
        return mailbox


def _require(place: Place, rights: Rights, needed: Rights) -> None:
    if needed not in rights:
        raise _refusal(place, rights)


def _refusal(place: Place, rights: Rights) -> Exception:
    return not_allowed() if Rights.LOOKUP in rights else NoSuchMailbox(place.shown)


def not_allowed() -> Refused:
    return no("You have no right to do that", "NOPERM")


def of_another(name: str) -> bool:
    """Whether a name means another account's mailbox. What has no address behind `Shared/` is one's own: some have a folder of
    that name.
    """
    return name.startswith(PREFIX) and "@" in name[len(PREFIX) :].partition(SEPARATOR)[0]


def owner_part(address: str) -> str:
    """An address as one part of a name."""
    return address.replace("%", "%25").replace(SEPARATOR, "%2F")


async def find(session: Session, name: str) -> Place:
    """Raises NoSuchMailbox for an owner who shares nothing with this account, as for one who is not there."""
    if not of_another(name):
        return Place(session.mail, name)
    me = session.known
    sharing = session.services.sharing
    owners = {owner_part(owner.record.address): owner for owner in await sharing.owners(me)}
    rest = unicodedata.normalize("NFC", name)[len(PREFIX) :]
    for part, written in [*((part, part) for part in owners), *((part, part.replace(".", SEPARATOR)) for part in owners)]:
        # mutt takes a dot for a separator whatever the server says, and writes alice@a/test.
        inner = rest.removeprefix(written + SEPARATOR)
        if inner and inner != rest:
            account = await sharing.open(owners[part])
            return Place(account, normalise(inner), f"{PREFIX}{part}{SEPARATOR}", Access(sharing, owners[part], me))
    raise NoSuchMailbox(name)


@dataclass(frozen=True, slots=True)
class Listed:
    """One mailbox that a session can see, or a name above some that is none."""

    info: MailboxInfo  # with the name as this session calls it
    rights: Rights


async def listing(session: Session, patterns: Iterable[str] = ("*",)) -> dict[str, Listed]:
    """All that may be looked up, by name: one's own mailboxes, and those of others that patterns of LIST can mean."""
    await session.mail.refresh()
    found = {info.name: Listed(info, ALL) for info in await session.mail.listing() if not of_another(info.name)}
    subscribed = session.mail.subscriptions()
    starts = [re.split(r"[*%]", pattern, maxsplit=1)[0] for pattern in patterns]
    async for one in _shared(session, starts):
        _add(found, one, subscribed)
    return found


def _add(found: dict[str, Listed], one: Listed, subscribed: frozenset[str]) -> None:
    """With the names above it, as far as no mailbox has them."""
    name = one.info.name
    had = found.get(name)
    found[name] = replace(one, info=replace(one.info, subscribed=name in subscribed, children=had is not None))
    end = name.rfind(SEPARATOR)
    while end > 0:
        above = name[:end]
        known = found.get(above)
        if known is not None:
            found[above] = replace(known, info=replace(known.info, children=True))
        else:
            found[above] = Listed(MailboxInfo(above, False, above in subscribed, None, True), NONE)
        end = name.rfind(SEPARATOR, 0, end)


async def _shared(session: Session, starts: list[str]) -> AsyncIterator[Listed]:
    """Others' mailboxes that may be looked up. A special use is its owner's, and nobody else's."""
    me = session.known
    sharing = session.services.sharing
    for owner in await sharing.owners(me):
        prefix = f"{PREFIX}{owner_part(owner.record.address)}{SEPARATOR}"
        if not any(prefix.startswith(start) or start.startswith(prefix) for start in starts):
            continue  # nothing of that account is asked for: it is not opened
        try:
            account = await sharing.open(owner)
            await account.refresh()
        except StoreProblem:
            continue  # one owner's trouble is no other's
        access = Access(sharing, owner, me)
        for info in await account.listing():
            if info.selectable and Rights.LOOKUP in (rights := access.rights(account.look(info.name))):
                yield Listed(MailboxInfo(prefix + info.name, True, False, None, False), rights)
