"""What becomes of a message in one account: Junk, the mailbox that a tag names, INBOX, or what the account's script says."""

from mailstack.delivery.plan import INTO_INBOX, Arrival, Keep, Memory, Plan
from mailstack.delivery.rules import Rules
from mailstack.log import get_logger
from mailstack.policy.routing import Local
from mailstack.store.errors import MailboxExists, StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.foldername import INBOX
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import SpecialUse
from mailstack.store.users.directory import Directory

log = get_logger()
JUNK = "Junk"
# Nobody outside puts mail there by an address.
_OWN = frozenset({SpecialUse.SENT, SpecialUse.DRAFTS, SpecialUse.TRASH})


class Planner:
    """One for the server. Without a script, a tag or Junk an account costs a look-up, and nothing is awaited."""

    def __init__(
        self, directory: Directory, mailboxes: Mailboxes, rules: Rules | None = None, *, subaddress: bool = False
    ) -> None:
        """`subaddress`: what comes for user+name goes into the mailbox of that name, where there is one (RFC 5233)."""
        self._directory = directory
        self._mailboxes = mailboxes
        self._rules = rules
        self.subaddress = subaddress

    async def plan(self, route: Local, arrival: Arrival) -> Plan:
        """Raises StoreProblem when the account can't be looked into."""
        default = await self._default(route, arrival)
        rules = self._rules
        active = await rules.active(route.account.folder) if rules is not None else None
        if rules is None or active is None or not rules.wanted(active, arrival.judgement):
            return default
        try:
            return await rules.plan(active, await self._account(route), route, arrival, default)
        except StoreProblem:
            raise
        except Exception:
            log.exception("sieve.broken", id=arrival.id, account=route.account.address)
            return default

    async def _default(self, route: Local, arrival: Arrival) -> Plan:
        """What becomes of it without rules."""
        if arrival.judgement is not None and arrival.judgement.junk:
            return Plan((Keep(await self._junk(await self._account(route))),))
        if route.tag and self.subaddress:
            named = _named(await self._account(route), route.tag)
            return Plan((Keep(named),)) if named is not None else INTO_INBOX
        return INTO_INBOX

    async def remember(self, route: Local, memories: tuple[Memory, ...]) -> None:
        """What a plan that was carried out leaves behind. Never raises for trouble with the disk."""
        if self._rules is not None:
            await self._rules.remember(route.account.address, memories)

    async def _account(self, route: Local) -> Account:
        return await self._mailboxes.account(self._directory.folder(route.account))

    async def _junk(self, account: Account) -> str:
        """The mailbox for what nobody wants; made anew where it was deleted."""
        for mailbox in account.mailboxes():
            if mailbox.special_use is SpecialUse.JUNK:
                return mailbox.name
        try:
            return (await account.create(JUNK, SpecialUse.JUNK)).name
        except MailboxExists:
            return JUNK
        except StoreProblem:
            return INBOX


def _named(account: Account, tag: str) -> str | None:
    """The mailbox that a tag names, in any case; a dot may stand for the separator, which few addresses have."""
    wanted = tag.casefold()
    for mailbox in account.mailboxes():
        name = mailbox.name.casefold()
        if wanted in (name, name.replace("/", ".")) and mailbox.special_use not in _OWN:
            return mailbox.name
    return None
