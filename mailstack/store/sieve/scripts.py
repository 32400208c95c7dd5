"""The door to users' scripts: files are the truth, and what they mean is kept compiled until they change."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailstack.sieve.limits import Limits
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.script import Script, compile
from mailstack.store.disk import Disk
from mailstack.store.errors import NoSuchScript, ScriptTooLarge, TooManyScripts, from_os_error
from mailstack.store.sieve.files import ScriptFiles
from mailstack.store.sieve.kept import Kept
from mailstack.store.sieve.lists import read_list

KNOWN = 50_000  # accounts of which it is known whether they have an active one
THREADS = 2


@dataclass(frozen=True, slots=True)
class ScriptLimits:
    """What one account may have. Octets of one script, and their number."""

    size: int = 256 * 1024
    number: int = 64


@dataclass(frozen=True, slots=True)
class Active:
    """An account's active script. Without `script` it can't be used, and `problem` says why."""

    name: str
    script: Script | None
    problem: SieveProblem | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found under a name."""

    found: Script | SieveProblem | None

    @property
    def octets(self) -> int:
        return self.found.octets if isinstance(self.found, Script) else 0

    def get(self) -> Script | None:
        """Raises SieveProblem."""
        if isinstance(self.found, SieveProblem):
            raise self.found
        return self.found


class Scripts:
    """On the event loop; files and compiling in threads of its own. Accounts are named by their folders below <data>/mail."""

    def __init__(
        self, mail: Path, disk: Disk | None = None, limits: ScriptLimits | None = None, language: Limits | None = None
    ) -> None:
        self._mail = mail
        self._disk = disk or Disk()
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="sieve")
        self.limits = limits or ScriptLimits()
        self.language = language or Limits()
        self._without: set[str] = set()  # accounts without an active script
        self._kept: Kept[Active | Loaded] = Kept()  # the active one has no name
        self._generation = 0

    async def hop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Blocking work, or work that takes long, in a thread of those that scripts have."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)

    async def _disk_hop(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await self.hop(function, *arguments)
        except OSError as problem:
            raise from_os_error(problem) from problem

    def _files(self, account: str) -> ScriptFiles:
        return ScriptFiles(self._disk, self._mail / account / "sieve")

    def _forget(self, account: str) -> None:
        self._generation += 1
        self._without.discard(account)
        self._kept.forget(account)

    def forget(self) -> None:
        """Look at all files anew: somebody else may have changed them."""
        self._generation += 1
        self._without.clear()
        self._kept.clear()

    def close(self) -> None:
        self._executor.shutdown()

    # What scripts mean ----------------------------------------------------------------------------------------------

    async def active(self, account: str) -> Active | None:
        """The active script of an account; a look-up once it is known. Raises StoreProblem."""
        if account in self._without:
            return None
        found = self._kept.get(account, None)
        if isinstance(found, Active):
            return found
        generation = self._generation
        loaded: Active | None = await self._disk_hop(self._load_active, account)
        if generation == self._generation:
            self._keep(account, loaded)
        return loaded

    def _keep(self, account: str, loaded: Active | None) -> None:
        if loaded is None:
            if len(self._without) >= KNOWN:
                self._without.clear()
            self._without.add(account)
            return
        self._kept.keep(account, None, loaded, loaded.script.octets if loaded.script is not None else 0)

    def _load_active(self, account: str) -> Active | None:
        found = self._files(account).active()
        if found is None:
            return None
        name, source = found
        try:
            return Active(name, compile(source, self.language))
        except SieveProblem as problem:
            return Active(name, None, problem)

    async def named(self, account: str, name: str) -> Script | None:
        """A script to be included; None where there is none. Raises SieveProblem for a broken one, StoreProblem."""
        found = self._kept.get(account, name)
        if not isinstance(found, Loaded):
            generation = self._generation
            found = Loaded(await self._disk_hop(self._load_named, account, name))
            if generation == self._generation:
                self._kept.keep(account, name, found, found.octets)
        return found.get()

    def _load_named(self, account: str, name: str) -> Script | SieveProblem | None:
        try:
            return compile(self._files(account).read(name), self.language)
        except NoSuchScript:
            return None
        except SieveProblem as problem:
            return problem

    async def members(self, account: str, name: str) -> tuple[str, ...] | None:
        """The values of an external list, None where there is none. Raises StoreProblem."""
        found: tuple[str, ...] | None = await self._disk_hop(read_list, self._files(account).folder, name)
        return found

    async def check(self, source: bytes) -> None:
        """Raises SieveProblem."""
        await self.hop(compile, source, self.language)

    # Scripts as files -----------------------------------------------------------------------------------------------

    async def listing(self, account: str) -> dict[str, bool]:
        """Names in order, and whether each is the active one."""
        found: dict[str, bool] = await self._disk_hop(self._files(account).listing)
        return found

    async def read(self, account: str, name: str) -> bytes:
        """Raises NoSuchScript."""
        found: bytes = await self._disk_hop(self._files(account).read, name)
        return found

    async def room(self, account: str, name: str, size: int) -> None:
        """Whether a script of this size would be taken. Raises ScriptTooLarge, TooManyScripts."""
        if size > self.limits.size:
            raise ScriptTooLarge(f"{size} octets")
        have = await self.listing(account)
        if name not in have and len(have) >= self.limits.number:
            raise TooManyScripts(f"{len(have)} scripts")

    async def put(self, account: str, name: str, source: bytes) -> None:
        """Durable when it returns. Raises SieveProblem for what is no script, ScriptTooLarge, TooManyScripts."""
        await self.room(account, name, len(source))
        await self.check(source)
        await self._change(account, self._files(account).write, name, source)

    async def delete(self, account: str, name: str) -> None:
        """Raises NoSuchScript, ScriptInUse."""
        await self._change(account, self._files(account).delete, name)

    async def activate(self, account: str, name: str | None) -> None:
        """None: no script is active any more. Raises NoSuchScript."""
        await self._change(account, self._files(account).activate, name)

    async def rename(self, account: str, old: str, new: str) -> None:
        """Raises NoSuchScript, ScriptExists."""
        await self._change(account, self._files(account).rename, old, new)

    async def _change(self, account: str, function: Callable[..., None], *arguments: Any) -> None:
        try:
            await self._disk_hop(function, *arguments)
        finally:
            self._forget(account)


def acceptable_name(name: str) -> bool:
    """RFC 5804 1.6: what a script may be called."""
    forbidden = ("\u2028", "\u2029")
    return 0 < len(name) <= 128 and not any(ord(one) < 32 or 0x7F <= ord(one) < 0xA0 or one in forbidden for one in name)
