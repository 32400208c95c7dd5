"""`mailstack check` before there is any data."""

import asyncio
import time
from dataclasses import asdict
from typing import Any

from mailstack.app.publishing import publisher
from mailstack.config import Config
from mailstack.control.doctor.finding import Patient
from mailstack.control.doctor.rounds import examine
from mailstack.net.dns import Resolver
from mailstack.policy.clients import client_settings
from mailstack.records.compare import compare_host


def without_data(config: Config, outside: bool) -> list[dict[str, Any]]:
    """What can be seen of the machine and of the host's own records."""
    return asyncio.run(_look(config, outside))


async def _look(config: Config, outside: bool) -> list[dict[str, Any]]:
    resolver = Resolver(list(config.dns.nameservers), dnssec=config.dns.dnssec)

    async def ask(name: str, **_: Any) -> Any:
        if name != "dns.compare":
            return None
        me = await asyncio.to_thread(publisher, config, client_settings(config))
        return [asdict(row) for row in await compare_host(me, resolver, resolver)]

    return await examine(Patient(config, False, resolver, ask, time.time(), outside))
