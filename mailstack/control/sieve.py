"""sieve.*: scripts of accounts, and what one would have done."""

from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.delivery.rehearsal import Rehearsal
from mailstack.sieve.problem import SieveProblem
from mailstack.store.errors import NoSuchScript, ScriptExists, ScriptInUse, ScriptTooLarge, TooManyScripts
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.sieve.scripts import Scripts, acceptable_name
from mailstack.store.users.directory import AccountRecord, Directory

WORDS = {
    NoSuchScript: "there is no script of that name",
    ScriptExists: "there is a script of that name",
    ScriptInUse: "it is the active script: activate another one first, or none",
    ScriptTooLarge: "it is larger than rules.script_size",
    TooManyScripts: "the account has as many scripts as rules.scripts says",
}


class SieveOperations:
    """One for the server."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, scripts: Scripts, rehearsal: Rehearsal) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._scripts = scripts
        self._rehearsal = rehearsal

    def table(self) -> dict[str, Operation]:
        return {
            "sieve.put": self.put,
            "sieve.list": self.listing,
            "sieve.show": self.show,
            "sieve.activate": self.activate,
            "sieve.remove": self.remove,
            "sieve.test": self.test,
            "sieve.check": self.check,
        }

    async def _account(self, arguments: Arguments) -> AccountRecord:
        return await find_account(self._directory, arguments["address"])

    def _name(self, arguments: Arguments) -> str:
        name = str(arguments["script"])
        if not acceptable_name(name):
            raise OperationProblem("a script's name has 1 to 128 characters, none of them a control character")
        return name

    async def put(self, arguments: Arguments) -> Any:
        """Keep a script, and make it the active one where `active` says so."""
        record, name = await self._account(arguments), self._name(arguments)
        await self._mailboxes.account(self._directory.folder(record))
        await told(name, self._scripts.put(record.folder, name, str(arguments["source"]).encode()))
        if arguments.get("active"):
            await told(name, self._scripts.activate(record.folder, name))

    async def listing(self, arguments: Arguments) -> Any:
        record = await self._account(arguments)
        return [{"name": name, "active": active} for name, active in (await self._scripts.listing(record.folder)).items()]

    async def show(self, arguments: Arguments) -> Any:
        record, name = await self._account(arguments), self._name(arguments)
        return {"script": (await told(name, self._scripts.read(record.folder, name))).decode("utf-8", "replace")}

    async def activate(self, arguments: Arguments) -> Any:
        record = await self._account(arguments)
        name = self._name(arguments) if arguments.get("script") else None
        await told(name or "", self._scripts.activate(record.folder, name))

    async def remove(self, arguments: Arguments) -> Any:
        record, name = await self._account(arguments), self._name(arguments)
        await told(name, self._scripts.delete(record.folder, name))

    async def check(self, arguments: Arguments) -> Any:
        """The first mistake of a script as its line and reason; both None where it has none. Nothing is kept."""
        try:
            await self._scripts.check(str(arguments["source"]).encode("utf-8", "replace"))
        except SieveProblem as problem:
            return {"line": problem.line, "reason": problem.reason}
        return {"line": None, "reason": None}

    async def test(self, arguments: Arguments) -> Any:
        """What a script, or the active one, would have done to the messages of the last days."""
        record = await self._account(arguments)
        source = arguments.get("source")
        source = str(source).encode() if source is not None else None
        try:
            return await self._rehearsal.run(record, source, float(arguments.get("days") or 30), arguments.get("mailbox"))
        except SieveProblem as problem:
            raise OperationProblem(str(problem)) from problem
        except NoSuchScript as problem:
            raise OperationProblem(f"{record.address} has no active script; name a file") from problem


async def told(name: str, work: Any) -> Any:
    """Causes in words for the admin."""
    try:
        return await work
    except SieveProblem as problem:
        raise OperationProblem(f"{name}: {problem}") from problem
    except tuple(WORDS) as problem:
        raise OperationProblem(f"{name}: {WORDS[type(problem)]}") from problem
