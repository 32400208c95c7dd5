"""What commands do: named operations with plain arguments. The running server and the command line call the same ones."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mailstack.config import size as parse_size
from mailstack.message.address import Address, normalise_domain, parse_address
from mailstack.message.errors import SyntaxProblem
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.queue.queue import Queue, Queued
from mailstack.store.trace import Trace
from mailstack.store.users.directory import Directory, DirectoryProblem
from mailstack.store.users.passwords import LONGEST, hash_password, known_scheme, make_app_password, make_password

HASHES_AT_ONCE = 16
ROWS_AT_ONCE = 500  # built between two looks at the event loop
Arguments = dict[str, Any]
Operation = Callable[[Arguments], Awaitable[Any]]


class OperationProblem(Exception):
    """An operation that can't be done; the text is for the admin."""


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except SyntaxProblem as problem:
        raise OperationProblem(f"{text!r} is not an address: {problem.reason}") from None


def _domain(text: str) -> str:
    try:
        return normalise_domain(text)
    except SyntaxProblem as problem:
        raise OperationProblem(f"{text!r} is not a domain: {problem.reason}") from None


def _quota(text: str | None) -> int | None:
    if text in (None, "", "none"):
        return None
    try:
        return parse_size(str(text))
    except ValueError as problem:
        raise OperationProblem(str(problem)) from None


def _password(text: str) -> str:
    """Refuse one that nobody could log in with."""
    if not text:
        raise OperationProblem("a password or a hash is needed")
    if len(text) > LONGEST or "\0" in text:
        raise OperationProblem(f"a password has at most {LONGEST} characters, and no NUL")
    return text


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of an import."""

    line: int
    address: Address
    password: str
    hashed: str
    quota: int | None


def _read_rows(rows: list[dict[str, Any]]) -> tuple[list[_Row], dict[int, str]]:
    """Rows that make sense, and what is wrong with the others, by line of the file."""
    good: list[_Row] = []
    problems: dict[int, str] = {}
    seen: set[str] = set()
    for row in rows:
        line = int(row["line"])
        try:
            if row.get("more"):
                raise OperationProblem("more fields than columns; a comma in a password needs quotes around it")
            address = _address((row.get("address") or "").strip())
            hashed = (row.get("hash") or "").strip()
            if hashed and not hashed.startswith("{"):
                hashed = "{CRYPT}" + hashed
            if hashed and not known_scheme(hashed):
                raise OperationProblem("the hash's scheme is not known")
            if not hashed:
                _password(row.get("password") or "")
            if address.key in seen:
                raise OperationProblem(f"{address.key} is there twice")
            seen.add(address.key)
            quota = _quota((row.get("quota") or "").strip() or None)
            good.append(_Row(line, address, row.get("password") or "", hashed, quota))
        except OperationProblem as problem:
            problems[line] = str(problem)
    return good, problems


class UserOperations:
    """domain.*, user.*, alias.*, repair. `hop` runs what takes a processor's time in a thread, a few at once."""

    def __init__(
        self,
        directory: Directory,
        mailboxes: Mailboxes,
        make_keys: Callable[[str], list[tuple[str, str]]],
        hop: Callable[..., Awaitable[Any]],
        clock: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._make_keys = make_keys
        self._hop = hop
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {
            "domain.add": self.domain_add,
            "domain.list": self.domain_list,
            "domain.records": self.domain_records,
            "domain.remove": self.domain_remove,
            "user.add": self.user_add,
            "user.list": self.user_list,
            "user.passwd": self.user_passwd,
            "user.quota": self.user_quota,
            "user.disable": self.user_disable,
            "user.enable": self.user_enable,
            "user.remove": self.user_remove,
            "user.import": self.user_import,
            "user.app-password.add": self.app_add,
            "user.app-password.list": self.app_list,
            "user.app-password.remove": self.app_remove,
            "alias.add": self.alias_add,
            "alias.list": self.alias_list,
            "alias.remove": self.alias_remove,
            "repair": self.repair,
        }

    async def domain_add(self, arguments: Arguments) -> Any:
        """Adds it, and makes DKIM keys; the DNS records that publish them."""
        name = _domain(arguments["domain"])
        await self._directory.add_domain(name)
        return {"domain": name, "dkim": await self._records(name)}

    async def domain_records(self, arguments: Arguments) -> Any:
        """The DKIM records of a domain that is here."""
        name = _domain(arguments["domain"])
        if not await self._directory.is_local_domain(name):
            raise OperationProblem(f"there is no domain {name}")
        return {"domain": name, "dkim": await self._records(name)}

    async def _records(self, name: str) -> list[dict[str, str]]:
        return [{"name": key, "value": value} for key, value in await self._hop(self._make_keys, name)]

    async def domain_list(self, _: Arguments) -> Any:
        return [{"domain": name} for name in sorted(await self._directory.domains())]

    async def domain_remove(self, arguments: Arguments) -> Any:
        await self._directory.remove_domain(_domain(arguments["domain"]))

    async def user_add(self, arguments: Arguments) -> Any:
        address = _address(arguments["address"])
        password = _password(arguments.get("password") or make_password())
        quota = _quota(arguments.get("quota"))
        hashed = await self._hop(hash_password, password)
        added = await self._directory.add_accounts([(address, hashed, quota)], self._clock())
        await self._mailboxes.account(self._directory.folder(added[0]))
        return {"address": added[0].address, "password": None if arguments.get("password") else password}

    async def user_import(self, arguments: Arguments) -> Any:
        """All or nothing: every bad line is named."""
        rows, problems = await self._hop(_read_rows, arguments["rows"])
        domains = await self._directory.domains()
        taken = {row["address"] for row in await self._directory.accounts()}
        taken |= {row["source"] for row in await self._directory.aliases()}
        for row in rows:
            if row.address.domain not in domains:
                problems[row.line] = f"domain {row.address.domain} is not here; add it first: mailstack domain add"
            elif row.address.key in taken:
                problems[row.line] = f"{row.address.key} is there already"
        if problems:
            lines = [f"line {line}: {problem}" for line, problem in sorted(problems.items())]
            raise OperationProblem("\n".join([*lines, "nothing was imported"]))
        # The same password in many rows (a class room) is hashed once; a few threads hash at a time.
        passwords = list(dict.fromkeys(row.password for row in rows if not row.hashed))
        hashes = dict(zip(passwords, await self._hash_all(passwords), strict=True))
        ready = [(row.address, row.hashed or hashes[row.password], row.quota) for row in rows]
        added = await self._directory.add_accounts(ready, self._clock())
        return {"imported": len(added)}

    async def _hash_all(self, passwords: list[str]) -> list[str]:
        """In pieces, so that other commands get their turn in the threads."""
        hashes: list[str] = []
        for first in range(0, len(passwords), HASHES_AT_ONCE):
            piece = passwords[first : first + HASHES_AT_ONCE]
            hashes += await asyncio.gather(*(self._hop(hash_password, password) for password in piece))
        return hashes

    async def user_list(self, _: Arguments) -> Any:
        return await self._directory.accounts()

    async def user_passwd(self, arguments: Arguments) -> Any:
        address = _address(arguments["address"])
        password = _password(arguments.get("password") or make_password())
        await self._directory.set_password(address.key, await self._hop(hash_password, password))
        return {"address": address.key, "password": None if arguments.get("password") else password}

    async def user_quota(self, arguments: Arguments) -> Any:
        await self._directory.set_quota(_address(arguments["address"]).key, _quota(arguments.get("quota")))

    async def user_disable(self, arguments: Arguments) -> Any:
        await self._directory.set_disabled(_address(arguments["address"]).key, True)

    async def user_enable(self, arguments: Arguments) -> Any:
        await self._directory.set_disabled(_address(arguments["address"]).key, False)

    async def user_remove(self, arguments: Arguments) -> Any:
        record = await self._directory.remove_account(_address(arguments["address"]).key)
        await self._mailboxes.forget(self._directory.folder(record))
        folder = self._directory.folder(record)
        return {"folder": str(folder.path), "index": str(folder.index)}

    async def app_add(self, arguments: Arguments) -> Any:
        password, digest = make_app_password()
        key = _address(arguments["address"]).key
        await self._directory.add_app_password(key, arguments["label"], digest, self._clock())
        return {"address": key, "label": arguments["label"], "password": password}

    async def app_list(self, arguments: Arguments) -> Any:
        return await self._directory.app_passwords(_address(arguments["address"]).key)

    async def app_remove(self, arguments: Arguments) -> Any:
        await self._directory.remove_app_password(_address(arguments["address"]).key, arguments["label"])

    def _source(self, text: str) -> str:
        return "@" + _domain(text[1:]) if text.startswith("@") else _address(text).key

    async def alias_add(self, arguments: Arguments) -> Any:
        targets = [await self._target(target) for target in arguments["targets"]]
        await self._directory.add_alias(self._source(arguments["address"]), targets)

    async def _target(self, text: str) -> str:
        """As the table keeps it: here by its key, elsewhere as it was written."""
        address = _address(text)
        return address.key if await self._directory.is_local_domain(address.domain) else str(address)

    async def alias_list(self, _: Arguments) -> Any:
        return await self._directory.aliases()

    async def alias_remove(self, arguments: Arguments) -> Any:
        target = arguments.get("target")
        await self._directory.remove_alias(self._source(arguments["address"]), await self._target(target) if target else None)

    async def repair(self, arguments: Arguments) -> Any:
        report = {}
        wanted = _address(arguments["account"]).key if arguments.get("account") else None
        for row in await self._directory.accounts():
            if wanted in (None, row["address"]):
                record = await self._directory.account(row["address"])
                assert record is not None
                account = await self._mailboxes.account(self._directory.folder(record))
                report[row["address"]] = await account.repair()
        if wanted is not None and not report:
            raise OperationProblem(f"there is no account {wanted}")
        return report


class QueueOperations:
    """queue.* and trace"""

    def __init__(self, queue: Queue, trace: Trace, kick: Callable[[Queued], None] | None) -> None:
        self._queue = queue
        self._trace = trace
        self._kick = kick

    def table(self) -> dict[str, Operation]:
        return {
            "queue.list": self.list_,
            "queue.show": self.show,
            "queue.retry": self.retry,
            "queue.hold": self.hold,
            "queue.release": self.release,
            "queue.drop": self.drop,
            "trace": self.trace,
        }

    def _find(self, arguments: Arguments) -> Queued:
        queued = self._queue.messages.get(arguments["id"])
        if queued is None:
            raise OperationProblem(f"there is no message {arguments['id']} in the queue")
        return queued

    def _row(self, queued: Queued) -> dict[str, Any]:
        envelope = queued.envelope
        return {
            "id": queued.id,
            "sender": str(envelope.sender) if envelope.sender else "<>",
            "size": queued.size,
            "received": envelope.received,
            "attempts": queued.attempts,
            "next_attempt": queued.next_attempt,
            "held": queued.held,
            "recipients": [
                {"address": str(recipient.address), "done": state.done, "reply": state.reply}
                for recipient, state in zip(envelope.recipients, queued.states, strict=True)
            ],
        }

    async def list_(self, _: Arguments) -> Any:
        rows = []
        for number, id in enumerate(sorted(self._queue.messages), 1):
            queued = self._queue.messages.get(id)
            if queued is not None:
                rows.append(self._row(queued))
            if number % ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return rows

    async def show(self, arguments: Arguments) -> Any:
        queued = self._find(arguments)
        header = await self._queue.read_header(queued)
        return {**self._row(queued), "header": header.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")}

    async def retry(self, arguments: Arguments) -> Any:
        if arguments.get("id"):
            chosen = [self._find(arguments)]
            if chosen[0].held:
                raise OperationProblem(f"{chosen[0].id} is held; let it go: mailstack queue release {chosen[0].id}")
        else:
            chosen = [queued for queued in self._queue.messages.values() if not queued.held]
        for queued in chosen:
            queued.next_attempt = 0.0
            if self._kick is not None:
                self._kick(queued)
            else:
                await self._queue.save(queued)
        return {"retried": len(chosen)}

    async def hold(self, arguments: Arguments) -> Any:
        queued = self._find(arguments)
        queued.held = True
        await self._queue.save(queued)

    async def release(self, arguments: Arguments) -> Any:
        queued = self._find(arguments)
        queued.held = False
        queued.next_attempt = 0.0
        await self._queue.save(queued)
        if self._kick is not None:
            self._kick(queued)

    async def drop(self, arguments: Arguments) -> Any:
        queued = self._find(arguments)
        if queued.busy:
            raise OperationProblem(f"{queued.id} is being delivered now; try again in a moment")
        self._trace.record(queued.id, "dropped")
        await self._queue.finish(queued)

    async def trace(self, arguments: Arguments) -> Any:
        return await self._trace.find(arguments["text"])


async def run(table: dict[str, Operation], name: str, arguments: Arguments) -> dict[str, Any]:
    """One operation as an answer: {"ok": ...} or {"error": ..., "code": 1}."""
    operation = table.get(name)
    if operation is None:
        return {"error": f"there is no operation {name}", "code": 2}
    try:
        return {"ok": await operation(arguments)}
    except (OperationProblem, DirectoryProblem) as problem:
        return {"error": str(problem), "code": 1}
    except StoreProblem as problem:
        return {"error": f"the disk: {problem.detail or type(problem).__name__}", "code": 1}
    except KeyError as problem:
        return {"error": f"{name} needs {problem}", "code": 2}
