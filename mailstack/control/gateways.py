"""gateway.*: domains whose mail is passed on."""

import re
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_address, read_domain
from mailstack.control.operations import Operation
from mailstack.store.users.gateways import Gateway, Gateways, Knows

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::([0-9]{1,5}))?")


class GatewayOperations:
    """One for the server."""

    def __init__(self, gateways: Gateways) -> None:
        self._gateways = gateways

    def table(self) -> dict[str, Operation]:
        return {
            "gateway.add": self.add,
            "gateway.list": self.listing,
            "gateway.remove": self.remove,
            "gateway.recipients": self.recipients,
        }

    async def add(self, arguments: Arguments) -> Any:
        """`to`: None makes a backup."""
        host, port = _place(arguments["to"]) if arguments.get("to") else (None, 25)
        try:
            knows = Knows(arguments.get("recipients") or Knows.ASK)
        except ValueError:
            raise OperationProblem(f"{arguments['recipients']!r} is not one of {', '.join(Knows)}") from None
        await self._gateways.put(Gateway(read_domain(arguments["domain"]), host, port, knows))

    async def listing(self, _: Arguments) -> Any:
        return [
            {"domain": one.domain, "to": f"{one.host}:{one.port}" if one.host else None, "recipients": one.knows.value}
            for one in self._gateways.all()
        ]

    async def remove(self, arguments: Arguments) -> Any:
        await self._gateways.remove(read_domain(arguments["domain"]))

    async def recipients(self, arguments: Arguments) -> Any:
        """Name some, take some out; those that are named then."""
        domain = read_domain(arguments["domain"])
        for there, name in ((True, "add"), (False, "remove")):
            keys = [read_address(text).key for text in arguments.get(name) or []]
            for key in keys:
                if key.rpartition("@")[2] != domain:
                    raise OperationProblem(f"{key} is not an address of {domain}")
            if keys:
                await self._gateways.name(domain, keys, there=there)
        return [{"address": address} for address in await self._gateways.recipients(domain)]


def _place(text: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    if found is None or not 0 < int(found[2] or 25) < 65536:
        raise OperationProblem(f"{text!r} is not a host like mail.inside.example:25")
    return found[1].strip("[]"), int(found[2] or 25)
