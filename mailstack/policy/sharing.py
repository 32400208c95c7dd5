"""Who may see whose mailboxes: grants are made here and asked for here, by IMAP and by the admin's commands alike."""

import asyncio
from dataclasses import dataclass

from mailstack.log import get_logger
from mailstack.message.address import parse_address
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.rights import NONE, Rights, parse_rights, show_rights, sum_of
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.grants import Grant, Grants
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.store.users.shares import ANYONE, Shares

log = get_logger()
EVERYBODY = "anyone"
GRANTS_LIMIT = 1000  # of one mailbox
OLD = str.maketrans("", "", "cd")  # rights that are shown and never kept


class NotAGrantee(Exception):
    """An identifier that nothing can be granted to."""


class TooManyGrants(Exception):
    """The mailbox has all the grants that it can have."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose mailboxes, and how often what was proved for that account had become void before it was looked up."""

    record: AccountRecord
    revocations: int


@dataclass(frozen=True, slots=True)
class Identifier:
    """RFC 4314 2. `account`: a folder; None is everybody."""

    account: str | None
    address: str
    negative: bool


class Sharing:
    """`anyone`: whether a mailbox can be opened to every account of the server."""

    def __init__(self, directory: Directory, shares: Shares, mailboxes: Mailboxes, *, anyone: bool) -> None:
        self._directory = directory
        self._shares = shares
        self._mailboxes = mailboxes
        self._turn = asyncio.Lock()  # grants and the table of shares change together
        self.anyone = anyone

    # Asking ---------------------------------------------------------------------------------------------------------

    async def owners(self, grantee: AccountRecord) -> list[Owner]:
        """The accounts that may share with one, by address. It takes the same time whoever the others are."""
        rows = await self._shares.owners(grantee.folder)
        if self.anyone:
            rows += await self._shares.owners(ANYONE)
        found = []
        for address, folder in sorted(set(rows)):
            revocations = self._directory.revocations(address)
            owner = (await self._directory.entry(address)).account
            # An account that is switched off shares nothing.
            if owner is not None and owner.folder == folder and folder != grantee.folder and not owner.disabled:
                found.append(Owner(owner, revocations))
        return found

    async def open(self, owner: Owner) -> Account:
        """An owner's account. Raises NoSuchMailbox when it was removed or switched off meanwhile."""
        account = await self._mailboxes.account(self._directory.folder(owner.record))
        if not self._still(owner):
            raise NoSuchMailbox(owner.record.address)
        return account

    def _still(self, owner: Owner) -> bool:
        return self._directory.revocations(owner.record.address) == owner.revocations

    def rights(self, owner: Owner, grants: Grants, grantee: AccountRecord) -> Rights:
        """What an account may do in an owner's mailbox, now. None of it when the owner was removed or switched off since."""
        return sum_of(grants, grantee.folder, anyone=self.anyone) if grants and self._still(owner) else NONE

    async def living(self, grants: Grants) -> Grants:
        """Those whose accounts are still there."""
        return tuple([one for one in grants if one.account is None or await self._lives(one)])

    async def _lives(self, grant: Grant) -> bool:
        account = (await self._directory.entry(grant.address)).account
        return account is not None and account.folder == grant.account

    async def identify(self, text: str) -> Identifier:
        """Raises SyntaxProblem, and NotAGrantee for what is no account of this server."""
        negative = text.startswith("-")
        name = text[1:] if negative else text
        if not name or not name.isprintable():
            raise SyntaxProblem("not an identifier")
        if name == EVERYBODY:
            return Identifier(None, EVERYBODY, negative)
        try:
            key = parse_address(name).key
        except SyntaxProblem:
            raise NotAGrantee(text) from None
        account = (await self._directory.entry(key)).account
        if account is None:
            raise NotAGrantee(text)
        return Identifier(account.folder, account.address, negative)

    def grantable(self, identifier: Identifier, owner: AccountRecord) -> bool:
        """The owner has all rights anyhow; everybody only where the server allows it, though everybody may be denied."""
        if identifier.account is None:
            return self.anyone or identifier.negative
        return identifier.account != owner.folder

    # Changing -------------------------------------------------------------------------------------------------------

    async def set(
        self, owner: AccountRecord, account: Account, mailbox: str, identifier: Identifier, sign: str, rights: Rights
    ) -> None:
        """SETACL: "+" adds, "-" removes, "" puts in place. Durable when it returns. Raises NotAGrantee, TooManyGrants."""
        if sign != "-" and rights and not self.grantable(identifier, owner):
            raise NotAGrantee(identifier.address)
        async with self._turn:
            living = await self.living(account.grants(mailbox))
            if rights and sign != "-" and not identifier.negative:
                await self._shares.add(owner.folder, identifier.account or ANYONE)
            await account.share(mailbox, lambda grants: _changed(_kept(grants, living), identifier, sign, rights))
            await self._forget_unused(owner, account, identifier)
        log.info(
            "sharing.changed", owner=owner.address, mailbox=mailbox, who="-" * identifier.negative + identifier.address,
            sign=sign, rights=show_rights(rights),
        )  # fmt: skip

    async def remove(self, owner: AccountRecord, account: Account, mailbox: str, identifier: Identifier) -> None:
        """DELETEACL."""
        await self.set(owner, account, mailbox, identifier, "", NONE)

    async def _forget_unused(self, owner: AccountRecord, account: Account, identifier: Identifier) -> None:
        if not any(one.account == identifier.account and not one.negative for one in account.all_grants()):
            await self._shares.remove(owner.folder, identifier.account or ANYONE)

    async def renew(self, owner: AccountRecord, account: Account) -> None:
        """Put into the table whom the grants name: after mail was restored from elsewhere."""
        async with self._turn:
            for grantee in {grant.account or ANYONE for grant in account.all_grants() if not grant.negative}:
                await self._shares.add(owner.folder, grantee)

    async def forget(self, removed: AccountRecord) -> None:
        """An account is gone: it shares nothing, and nothing is shared with it."""
        await self._shares.forget(removed.folder)


def _kept(grants: Grants, living: Grants) -> Grants:
    return tuple(one for one in grants if one in living)


def _changed(grants: Grants, who: Identifier, sign: str, rights: Rights) -> Grants:
    found = []
    had = NONE
    for one in grants:
        if one.account == who.account and one.negative == who.negative:
            had |= parse_rights(one.rights)
        else:
            found.append(one)
    now = had | rights if sign == "+" else had & ~rights if sign == "-" else rights
    if not now:
        return tuple(found)
    if len(found) >= GRANTS_LIMIT:
        raise TooManyGrants
    return (*found, Grant(who.account, who.address, show_rights(now).translate(OLD), who.negative))
