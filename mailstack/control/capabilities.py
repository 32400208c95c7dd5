"""user.capability: what IMAP announces to one account."""

from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.store.users.directory import Directory


class CapabilityOperations:
    """`always` are announced to everybody, `on_request` only to an account that asks."""

    def __init__(self, directory: Directory, always: list[str], on_request: list[str]) -> None:
        self._directory = directory
        self._always = always
        self._on_request = on_request

    def table(self) -> dict[str, Operation]:
        return {"user.capability": self.capability}

    async def capability(self, arguments: Arguments) -> Any:
        """Hide some, show some, or all as it was; and what is announced after the next login."""
        record = await find_account(self._directory, arguments["address"])
        hide, show = ({self._known(name) for name in arguments.get(key) or ()} for key in ("hide", "show"))
        if both := hide & show:
            raise OperationProblem(f"{min(both)}: hide it or show it, not both")
        hidden = ((set() if arguments.get("reset") else record.hidden) | hide) - show
        asked = ((set() if arguments.get("reset") else record.asked) - hide) | (show & self._upper(self._on_request))
        chosen = " ".join([*(f"-{name}" for name in sorted(hidden)), *(f"+{name}" for name in sorted(asked))])
        if chosen != record.capabilities:
            await self._directory.set_capabilities(record.address, chosen)
        rows = [(name, name.upper() not in hidden) for name in self._always]
        rows += [(name, name.upper() in asked) for name in self._on_request]
        return [{"capability": name, "announced": shown} for name, shown in rows]

    def _known(self, name: str) -> str:
        wanted = name.upper()
        if wanted not in self._upper(self._always) | self._upper(self._on_request):
            raise OperationProblem(f"{name} is nothing that can be hidden or shown; see: mailstack user capability ADDRESS")
        return wanted

    def _upper(self, names: list[str]) -> set[str]:
        return {name.upper() for name in names}
