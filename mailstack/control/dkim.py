"""dkim.*: the keys of the domains here, and their rotation."""

from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_domain
from mailstack.control.operations import Operation
from mailstack.delivery.rotation import KeyLook, Rotation, RotationRefused
from mailstack.net.looking import side_by_side
from mailstack.store.users.directory import Directory


class DkimOperations:
    def __init__(self, directory: Directory, rotation: Rotation) -> None:
        self._directory = directory
        self._rotation = rotation

    def table(self) -> dict[str, Operation]:
        return {
            "dkim.list": self.list_,
            "dkim.rotate": self.rotate,
            "dkim.check": self.check,
            "dkim.retire": self.retire,
        }

    async def _domain(self, arguments: Arguments) -> str:
        name = read_domain(arguments["domain"])
        if not await self._directory.is_local_domain(name):
            raise OperationProblem(f"there is no domain {name}")
        return name

    async def list_(self, arguments: Arguments) -> Any:
        """The keys of one domain, or of all, and what the DNS says of their records."""
        domains = [await self._domain(arguments)] if arguments.get("domain") else sorted(await self._directory.domains())
        return [_row(look) for looks in await side_by_side(self._rotation.look, domains) for look in looks]

    async def rotate(self, arguments: Arguments) -> Any:
        """New keys; all keys of the domain."""
        domain = await self._domain(arguments)
        try:
            await self._rotation.rotate(domain)
        except RotationRefused as problem:
            raise OperationProblem(str(problem)) from None
        return [_row(look) for look in await self._rotation.look(domain)]

    async def check(self, arguments: Arguments) -> Any:
        """Let waiting keys sign whose records are there."""
        domain = await self._domain(arguments)
        await self._rotation.advance(domain)
        return [_row(look) for look in await self._rotation.look(domain)]

    async def retire(self, arguments: Arguments) -> Any:
        domain = await self._domain(arguments)
        try:
            await self._rotation.retire(domain, arguments["selector"], at_once=bool(arguments.get("now")))
        except RotationRefused as problem:
            raise OperationProblem(str(problem)) from None
        return [_row(look) for look in await self._rotation.look(domain)]


def _row(look: KeyLook) -> dict[str, Any]:
    return {
        "domain": look.key.domain,
        "selector": look.key.selector,
        "algorithm": look.key.algorithm,
        "state": look.entry.state.value,
        "since": look.entry.since,
        "until": look.entry.until,
        "dns": look.seen.value,
        "name": look.name,
        "value": look.record,
    }
