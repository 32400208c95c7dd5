"""tls.*: this server's own certificates: what is served, what is asked for, what the DNS says of their keys."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mailstack.certificates.keeper import Keeper
from mailstack.certificates.proof import Proof
from mailstack.certificates.sources import Sources
from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.operations import Operation
from mailstack.net.tls import TlsProblem


class OwnTlsOperations:
    """`proof` and `keeper` are those of the running server; `pair`: the admin's files, where certificates are those."""

    def __init__(
        self,
        sources: Sources,
        mode: str,
        pair: Callable[[], tuple[Path, Path] | None],
        proof: Proof | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self._sources = sources
        self._mode = mode
        self._pair = pair
        self._proof = proof
        self._keeper = keeper

    def table(self) -> dict[str, Operation]:
        return {
            "tls.served": self.served,
            "tls.status": self.status,
            "tls.renew": self.renew,
            "tls.record": self.record,
            "tls.ca": self.authority,
        }

    async def served(self, arguments: Arguments) -> Any:
        """A row a listener and name, from handshakes that are made now; with `kept` from the last ones, if there were any."""
        if self._mode == "off":
            raise OperationProblem('tls.mode is "off": nothing is served by TLS')
        if self._proof is None:
            raise OperationProblem("no server runs here that could be asked; start it: mailstack serve")
        if not arguments.get("kept") or self._proof.looked_at is None:
            await self._proof.look()
        return self._proof.rows()

    async def status(self, _: Arguments) -> Any:
        """A row for each name that this server wants an authority to sign for."""
        return await self._running().status()

    async def renew(self, arguments: Arguments) -> Any:
        """Ask now, for all certificates or for that of one name; the rows of status afterwards."""
        name = arguments.get("host")
        keeper = self._running()
        await keeper.look(now=True, name=str(name).lower() if name else None)
        return await keeper.status()

    def _running(self) -> Keeper:
        if self._mode != "acme":
            raise OperationProblem('this server asks no authority for certificates: tls.mode is not "acme"')
        if self._keeper is None:
            raise OperationProblem("no server runs here; start it: mailstack serve")
        return self._keeper

    async def record(self, _: Arguments) -> Any:
        """The values of TLSA records for the host's port 25, that of the key in use first."""
        if self._mode == "off":
            raise OperationProblem('tls.mode is "off": there is no key')
        try:
            found = await asyncio.to_thread(self._sources.records, self._mode, self._pair())
        except (TlsProblem, OSError) as problem:
            raise OperationProblem(str(problem)) from None
        return {"host": self._sources.hostname, "values": [str(one) for one in found]}

    async def authority(self, _: Arguments) -> Any:
        pem = await asyncio.to_thread(self._sources.authority)
        if pem is None or self._mode != "self-signed":
            raise OperationProblem("no authority of this server's own vouches for its certificate")
        return {"pem": pem}
