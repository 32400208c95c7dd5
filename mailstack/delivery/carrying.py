"""From what a script decided to a plan: mailboxes found or made, flags, headers, and the mails that are written."""

from typing import ClassVar

from mailstack.delivery import answers
from mailstack.delivery.asking import ANSWERED, SEEN, mailbox_for, mailbox_named, mailbox_with_id
from mailstack.delivery.plan import REDIRECTED, Answer, Arrival, Keep, Memory, Plan, Redirect, Refusal
from mailstack.log import get_logger
from mailstack.message.envelope import derived_id
from mailstack.message.flag import NAMES, Flags
from mailstack.message.header import every, first, split_header
from mailstack.policy.inbound import HEADER_LIMIT
from mailstack.policy.routing import Local
from mailstack.sieve import actions
from mailstack.sieve.actions import Outcome, SieveError
from mailstack.sieve.edits import Edit, apply, rewritten
from mailstack.store.errors import MailboxExists, StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.foldername import INBOX
from mailstack.store.mailbox.values import SpecialUse

log = get_logger()
MAILS = 10  # that one run may write
DAY = 86400.0
_SYSTEM = {name.lower(): flag for flag, name in NAMES.items()}
_ATOM = frozenset('(){%*"\\] ')


class Carrier:
    """One for a run."""

    TOLD: ClassVar[tuple[str, ...]] = ("problem",)

    def __init__(self, account: Account, route: Local, arrival: Arrival, default: Plan, hostname: str, moment: float) -> None:
        self._account = account
        self._address = route.account.address
        self._arrival = arrival
        self._default = default
        self._hostname = hostname
        self._moment = moment
        self._header = arrival.prefix + split_header(arrival.content.head(HEADER_LIMIT))[0]

    async def plan(self, outcome: Outcome) -> Plan:
        """Raises StoreProblem."""
        keeps: list[Keep] = []
        redirects: list[Redirect] = []
        replies: list[Answer] = []
        memories = [Memory((SEEN, one.handle, one.id), float(one.seconds), kept=True) for one in outcome.remember]
        reject: Refusal | None = None
        for action in outcome.actions:
            match action:
                case actions.Keep():
                    keeps += [self._kept(keep.mailbox, action.flags, action.edits) for keep in self._default.keeps]
                case actions.FileInto():
                    keeps.append(self._kept(await self._mailbox(action), action.flags, action.edits))
                case actions.Redirect():
                    redirects += self._redirect(action)
                case actions.Reject():
                    reject = Refusal(action.reason)
                case actions.Respond():
                    replies += self._respond(action)
                    memories.append(Memory((ANSWERED, action.handle, action.to.lower()), float(action.seconds)))
                case actions.Notify():
                    replies += self._notify(action)
                case actions.Discard():
                    pass
        if not keeps and not redirects and any(isinstance(one, actions.Redirect) for one in outcome.actions):
            # It came back to who sent it on: it ends here, and not nowhere.
            keeps = list(self._default.keeps)
        return Plan(_once(keeps), tuple(redirects), tuple(replies[:MAILS]), reject, tuple(memories))

    def trouble(self, script: str, error: SieveError) -> Plan:
        """Without the script, and a mail that tells its owner why."""
        to = answers.readable(self._address)
        if to is None:
            return self._default
        id = derived_id(self._arrival.id, self._address, "problem")
        data = answers.trouble(
            error, script=script, to=self._address, id=id, host=self._hostname, moment=self._moment
        )  # fmt: skip
        return Plan(self._default.keeps, replies=(Answer("problem", to, data),), memories=(Memory(self.TOLD, DAY),))

    # Mailboxes ------------------------------------------------------------------------------------------------------

    def _kept(self, mailbox: str, flags: actions.Flags, edits: tuple[Edit, ...]) -> Keep:
        system, keywords = named_flags(flags or ())
        return Keep(mailbox, system, keywords, *self.edited(edits))

    def edited(self, edits: tuple[Edit, ...]) -> tuple[bytes | None, bytes | None]:
        """Header and body as the script changed them; None where it did not."""
        if rewritten(edits):
            return split_header(apply(b"", edits))
        return (apply(self._header, edits) if edits else None), None

    async def _mailbox(self, action: actions.FileInto) -> str:
        """Where it goes: INBOX, where the script names what is not there."""
        found = await self.existing(action)
        if found is None:
            log.info("sieve.no_mailbox", id=self._arrival.id, account=self._address, line=action.line)
        return found if found is not None else INBOX

    async def existing(self, action: actions.FileInto) -> str | None:
        """RFC 9042 3, RFC 8579 4: by its id, its use, its name; made where the script says so; else None."""
        account = self._account
        found = mailbox_with_id(account, action.id) if action.id else None
        found = found or (mailbox_for(account, action.use) if action.use else None)
        found = found or mailbox_named(account, action.mailbox)
        if found is not None:
            return found.name
        if action.create:
            try:
                return (await account.create(action.mailbox, self._use(action.use))).name
            except MailboxExists:
                return action.mailbox
            except StoreProblem as problem:
                log.warning("sieve.not_created", account=self._address, problem=type(problem).__name__)
        return None

    def _use(self, text: str | None) -> SpecialUse | None:
        return next((one for one in SpecialUse if text is not None and one.value.lower() == text.lower()), None)

    # Mails ----------------------------------------------------------------------------------------------------------

    def _redirect(self, action: actions.Redirect) -> list[Redirect]:
        """RFC 5228 10: what this account sent on before goes round in circles."""
        passed = [
            value.decode("ascii", "replace").strip().lower() for value in every(self._header, REDIRECTED.lower().encode())
        ]
        to = answers.readable(action.address)
        if to is None or self._address in passed:
            log.warning("sieve.redirect_loop", id=self._arrival.id, account=self._address, to=action.address)
            return []
        return [Redirect(to, *self.edited(action.edits))]

    def _respond(self, action: actions.Respond) -> list[Answer]:
        to = answers.readable(action.to)
        id = derived_id(self._arrival.id, self._address, "vacation")
        data = answers.vacation(action, id=id, host=self._hostname, moment=self._moment)
        return [Answer("vacation", to, data)] if to is not None else []

    def _notify(self, action: actions.Notify) -> list[Answer]:
        about = (first(self._header, b"message-id") or b"").decode("ascii", "replace")[:300]
        found = []
        for number, text in enumerate(dict.fromkeys((*action.to, *action.cc, *action.bcc))):
            to = answers.readable(text)
            if to is None or to.key == self._address:
                continue
            id = derived_id(self._arrival.id, self._address, "notify", str(action.line), str(number))
            data = answers.notice(
                action, text, sender=self._address, id=id, host=self._hostname, moment=self._moment, about=about
            )  # fmt: skip
            found.append(Answer("notify", to, data))
        return found


def named_flags(names: tuple[str, ...]) -> tuple[Flags, frozenset[str]]:
    """IMAP's flags as bits, and keywords; what can't be one is left out."""
    system, keywords = Flags(0), set[str]()
    for name in names:
        if name.startswith("\\"):
            system |= _SYSTEM.get(name.lower(), Flags(0))
        elif name and len(name) <= 100 and name.isascii() and name.isprintable() and not _ATOM & set(name):
            keywords.add(name)
    return system, frozenset(keywords)


def _once(keeps: list[Keep]) -> tuple[Keep, ...]:
    """One copy a mailbox: what comes again adds its flags (RFC 5228 2.10.3)."""
    found: dict[str, Keep] = {}
    for keep in keeps:
        have = found.get(keep.mailbox)
        if have is not None:
            form = (have.header, have.body) if have.header is not None else (keep.header, keep.body)
            keep = Keep(keep.mailbox, have.flags | keep.flags, have.keywords | keep.keywords, *form)
        found[keep.mailbox] = keep
    return tuple(found.values())
