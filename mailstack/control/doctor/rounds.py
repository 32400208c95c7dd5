"""check: the doctor's round."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from mailstack.config import Config
from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.doctor import certificates, disk, keys, machine, names, outgoing, ports, settings, work
from mailstack.control.doctor.finding import Check, Finding, Patient
from mailstack.control.operations import Operation
from mailstack.log import get_logger
from mailstack.net.dns import Resolver
from mailstack.store.users.directory import DirectoryProblem

log = get_logger()
SECONDS = 60.0  # for one look
CHECKS: tuple[tuple[str, Check], ...] = (
    ("configuration", settings.settings),
    ("ports", ports.ports),
    ("certificate", certificates.certificates),
    ("disk", disk.disk),
    ("machine", machine.machine),
    ("sending", outgoing.outgoing),
    ("queue", work.queue),
    ("backup", work.backups),
    ("self-test", work.selftest),
    ("NAT", work.nat),
    ("DKIM", keys.keys),
    ("MTA-STS", keys.policies),
    ("DNSSEC", names.dnssec),
    ("blocklists", names.blocklists),
    ("DNS", names.records),
)
PUBLIC = frozenset({"DKIM", "MTA-STS", "DNSSEC", "blocklists", "DNS"})


class CheckOperations:
    """`table`: the other operations, complete by the time that one is asked for. `config`: as it is now."""

    def __init__(
        self,
        table: Mapping[str, Operation],
        config: Callable[[], Config],
        resolver: Resolver,
        clock: Callable[[], float],
        *,
        running: bool,
    ) -> None:
        self._table = table
        self._config = config
        self._resolver = resolver
        self._clock = clock
        self._running = running

    def table(self) -> dict[str, Operation]:
        return {"check": self.check}

    async def check(self, arguments: Arguments) -> Any:
        """Rows {what, state, text, effect, fix}. `outside`: hosts that have nothing to do with us may be asked."""
        patient = Patient(
            self._config(), self._running, self._resolver, self._ask, self._clock(), outside=bool(arguments.get("outside"))
        )
        return await examine(patient)

    async def _ask(self, name: str, **arguments: Any) -> Any:
        operation = self._table.get(name)
        try:
            return await operation(arguments) if operation is not None else None
        except (OperationProblem, DirectoryProblem):
            return None


async def examine(patient: Patient, checks: tuple[tuple[str, Check], ...] = CHECKS) -> list[dict[str, Any]]:
    """All at once; in the order of the table."""
    # The name of a trial is nowhere in the DNS.
    looks = [one for one in checks if one[0] not in PUBLIC or "." in patient.config.hostname]
    found = await asyncio.gather(*(_one(name, check, patient) for name, check in looks))
    return [asdict(finding) for findings in found for finding in findings]


async def _one(name: str, check: Check, patient: Patient) -> list[Finding]:
    try:
        async with asyncio.timeout(SECONDS):
            return await check(patient)
    except TimeoutError:
        return [Finding(name, "warn", f"it could not be looked at within {SECONDS:.0f} s")]
    except Exception as problem:
        log.exception("check.failed", what=name)
        return [Finding(name, "warn", f"it could not be looked at: {problem}")]
