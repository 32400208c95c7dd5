"""Showing an authority that a name is ours: by a path of our web server, in a TLS handshake, or by a record in the DNS."""

import asyncio
import contextlib
import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mailstack.certificates.settings import AcmeSettings, Control
from mailstack.log import get_logger
from mailstack.net.authority import Fresh
from mailstack.net.challenge import challenge_context
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.dns_update import Change, UpdateProblem
from mailstack.net.tls import Certificates

log = get_logger()
HOOK_SECONDS = 300.0
SEEN_SECONDS = 120.0  # until the zone's own name servers have a record
LOOK_SECONDS = 1.0
RECORD_TTL = 60


class ControlProblem(Exception):
    """Why it can't be shown; for the admin."""


class Shown(Protocol):
    """One way. `token` and `answer` are the challenge's; `digest` is what the DNS shall say."""

    async def show(self, name: str, token: str, answer: str, digest: str) -> None:
        """It is there when this returns. Raises ControlProblem."""

    async def hide(self, name: str, token: str, answer: str, digest: str) -> None:
        """It is not needed any more. Raises ControlProblem."""


class ByHttp:
    """RFC 8555 8.3. `tokens` is what web/ answers with."""

    def __init__(self) -> None:
        self.tokens: dict[str, str] = {}

    async def show(self, name: str, token: str, answer: str, digest: str) -> None:
        self.tokens[token] = answer

    async def hide(self, name: str, token: str, answer: str, digest: str) -> None:
        self.tokens.pop(token, None)


class ByHandshake:
    """RFC 8737."""

    def __init__(self, certificates: Certificates, folder: Path, clock: Callable[[], float]) -> None:
        self._certificates = certificates
        self._folder = folder
        self._clock = clock

    async def show(self, name: str, token: str, answer: str, digest: str) -> None:
        now = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)
        try:
            context = await asyncio.to_thread(challenge_context, name, answer, self._folder, now)
        except OSError as problem:
            raise ControlProblem(f"{self._folder}: {problem.strerror}") from problem
        self._certificates.challenge(name, context)

    async def hide(self, name: str, token: str, answer: str, digest: str) -> None:
        self._certificates.challenge(name, None)


class ByRecord:
    """RFC 8555 8.4, by a change that the zone's name server takes (RFC 2136), or by a command of the admin's."""

    def __init__(self, resolver: Resolver, settings: AcmeSettings) -> None:
        self._resolver = resolver
        self._updater = settings.updater
        self._hook = settings.hook

    async def show(self, name: str, token: str, answer: str, digest: str) -> None:
        where = await self._place(name)
        if self._hook:
            await _run(self._hook, "add", where, digest)
            return
        await self._change(where, Change(where, "TXT", add=(digest,), ttl=RECORD_TTL))
        await self._wait(where, digest)

    async def hide(self, name: str, token: str, answer: str, digest: str) -> None:
        where = await self._place(name)
        if self._hook:
            await _run(self._hook, "remove", where, digest)
        else:
            await self._change(where, Change(where, "TXT", remove=(digest,)))

    async def _place(self, name: str) -> str:
        """Where the record belongs: a CNAME may lead into a zone that takes changes."""
        where = f"_acme-challenge.{name}"
        with contextlib.suppress(NoSuchDomain, DnsTemporary):
            targets = await self._resolver.texts(where, "CNAME")
            return targets[0].rstrip(".")
        return where

    async def _change(self, where: str, change: Change) -> None:
        if self._updater is None:
            raise ControlProblem("dns-01 needs dns.update_server or acme.dns_hook")
        try:
            zone = await Fresh(self._resolver, [self._updater.server]).zone(where)
            await self._updater.change(zone, [change])
        except UpdateProblem as problem:
            raise ControlProblem(str(problem)) from problem
        except (NoSuchDomain, DnsTemporary) as problem:
            raise ControlProblem(f"no zone is found that holds {where}: {problem}") from problem

    async def _wait(self, where: str, digest: str) -> None:
        """Until those who hold the zone say it: authorities ask them. One that never does is for the authority to tell."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEEN_SECONDS):
                while not await self._is_seen(where, digest):
                    await asyncio.sleep(LOOK_SECONDS)
                return
        log.warning("tls.record_not_seen", name=where)

    async def _is_seen(self, where: str, digest: str) -> bool:
        try:
            asked = await Fresh(self._resolver).resolver(where)
        except (NoSuchDomain, DnsTemporary):
            return True  # they are not found from here: nothing to wait for
        try:
            return digest in await asked.txt(where)
        except NoSuchDomain:
            return False
        except DnsTemporary:
            return True


async def _run(command: tuple[str, ...], *arguments: str) -> None:
    """The admin's command: `add` or `remove`, the record's name, its text."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
    except OSError as problem:
        raise ControlProblem(f"acme.dns_hook: {command[0]}: {problem.strerror}") from problem
    try:
        async with asyncio.timeout(HOOK_SECONDS):
            _, errors = await process.communicate()
    except TimeoutError:
        raise ControlProblem(f"acme.dns_hook: {command[0]} takes longer than {HOOK_SECONDS:.0f} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2][:300]
        raise ControlProblem(f"acme.dns_hook: {command[0]} {arguments[0]} ended with {process.returncode}: {last}")


def available(settings: AcmeSettings, *, http: bool, https: bool) -> tuple[Control, ...]:
    """Those of the ways that this server has."""
    has = {Control.HTTP: http, Control.ALPN: https, Control.DNS: bool(settings.updater or settings.hook)}
    return tuple(one for one in settings.controls if has[one])
