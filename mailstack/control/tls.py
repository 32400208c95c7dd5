"""tls.*: what is known of the TLS of other domains."""

from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_domain
from mailstack.control.operations import Operation
from mailstack.policy.transport import LEVEL_NAMES, Level
from mailstack.store.transport import TransportStore
from mailstack.wire.mta_sts import parse_policy


class TlsOperations:
    """`open_`: no server has read the store."""

    def __init__(self, store: TransportStore, *, open_: bool) -> None:
        self._store = store
        self._open = open_

    def table(self) -> dict[str, Operation]:
        return {"tls.list": self.list_, "tls.forget": self.forget}

    async def list_(self, _: Arguments) -> Any:
        """A row for each domain, by name."""
        if self._open:
            await self._store.open()
        rows = []
        for domain in sorted(self._store.levels.keys() | self._store.policies.keys()):
            level, kept = self._store.levels.get(domain), self._store.policies.get(domain)
            policy = parse_policy(kept.text.encode()) if kept is not None else None
            rows.append(
                {
                    "domain": domain,
                    "level": LEVEL_NAMES[Level(level.level)] if level is not None else None,
                    "seen": level.seen if level is not None else None,
                    "mta_sts": policy.mode.value if policy is not None else None,
                    "hosts": " ".join(policy.hosts) if policy is not None else None,
                    "expires": kept.expires if kept is not None else None,
                }
            )
        return rows

    async def forget(self, arguments: Arguments) -> Any:
        domain = read_domain(arguments["domain"])
        if self._open:
            await self._store.open()
        if not await self._store.forget(domain):
            raise OperationProblem(f"nothing is known of the TLS of {domain}")
