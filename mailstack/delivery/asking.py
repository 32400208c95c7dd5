"""What a script asks while it runs, answered from the store."""

from typing import Protocol

from mailstack.message.errors import SyntaxProblem
from mailstack.sieve.questions import (
    Annotation,
    AnsweredRecently,
    ListExists,
    ListMembers,
    MailboxExists,
    MailboxIdExists,
    OnList,
    Question,
    ScriptNamed,
    SeenBefore,
    SpecialUseExists,
)
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.foldername import normalise
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.sieve.lists import first_on
from mailstack.store.sieve.scripts import Scripts
from mailstack.store.users.directory import AccountRecord

ANSWERED, SEEN = "vacation", "duplicate"
GLOBAL = ".."  # of <data>/mail: scripts of the administrator, for everybody, are in <data>/sieve


class Recalls(Protocol):
    """Who knows what scripts remember."""

    async def age(self, account: str, words: tuple[str, ...]) -> float | None:
        """For how many seconds this is remembered; None: it is not."""


class Answerer:
    """One for a run."""

    def __init__(self, record: AccountRecord, account: Account, scripts: Scripts, memories: Recalls) -> None:
        self._record = record
        self._account = account
        self._scripts = scripts
        self._memories = memories

    async def answer(self, question: Question) -> object:
        """Raises SieveProblem for an included script that can't be used, StoreProblem."""
        match question:
            case MailboxExists(name):
                return mailbox_named(self._account, name) is not None
            case MailboxIdExists(id):
                return mailbox_with_id(self._account, id) is not None
            case SpecialUseExists(name, use):
                return self._has_use(name, use)
            case Annotation(name, entry):
                return await self._annotation(name, entry)
            case SeenBefore(handle, id, seconds):
                return await self._lately((SEEN, handle, id), seconds)
            case AnsweredRecently(handle, sender, seconds):
                return await self._lately((ANSWERED, handle, sender), seconds)
            case ScriptNamed(name, everybody):
                return await self._scripts.named(GLOBAL if everybody else self._record.folder, name)
            case ListExists(name):
                return await self._members(name) is not None
            case ListMembers(name):
                return await self._members(name)
            case OnList(name, values):
                return first_on(values, await self._members(name) or ())

    async def _members(self, name: str) -> tuple[str, ...] | None:
        """Of the account's own list, else of everybody's."""
        own = await self._scripts.members(self._record.folder, name)
        return own if own is not None else await self._scripts.members(GLOBAL, name)

    def _has_use(self, name: str | None, use: str) -> bool:
        mailbox = mailbox_for(self._account, use) if name is None else mailbox_named(self._account, name)
        return mailbox is not None and mailbox.special_use is not None and mailbox.special_use.value.lower() == use.lower()

    async def _annotation(self, name: str | None, entry: str) -> str | None:
        if name is not None and mailbox_named(self._account, name) is None:
            return None
        found = (await self._account.annotations([normalise(name) if name is not None else ""]))[0]
        value = next((value for key, value in found.items() if key.lower() == entry.lower()), None)
        return value.decode("utf-8", "replace") if value is not None else None

    async def _lately(self, words: tuple[str, ...], seconds: float) -> bool:
        age = await self._memories.age(self._record.address, words)
        return age is not None and age < seconds


def mailbox_named(account: Account, name: str) -> Mailbox | None:
    try:
        return account.look(name)
    except (StoreProblem, SyntaxProblem):
        return None


def mailbox_with_id(account: Account, id: str) -> Mailbox | None:
    return next((one for one in account.mailboxes() if one.id == id), None)


def mailbox_for(account: Account, use: str) -> Mailbox | None:
    """The mailbox of a special use, by its name with the backslash."""
    wanted = use.lower()
    return next((one for one in account.mailboxes() if one.special_use and one.special_use.value.lower() == wanted), None)
