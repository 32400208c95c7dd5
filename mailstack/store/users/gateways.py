"""Domains whose mail is passed on: to a named server inside, or, as a backup, to the hosts that are better in the DNS."""

import enum
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from mailstack.store.database import Database
from mailstack.store.users.directory import DirectoryProblem
from mailstack.store.users.models import Domain, GatewayRecipient, GatewayRow

domain_table: Any = Domain.__table__  # type: ignore[attr-defined]
table: Any = GatewayRow.__table__  # type: ignore[attr-defined]
recipient_table: Any = GatewayRecipient.__table__  # type: ignore[attr-defined]


class Knows(enum.StrEnum):
    """How it is known which recipients there are."""

    ASK = "ask"  # the server itself, while the sender waits
    LIST = "list"  # addresses that were named here
    ANY = "any"  # it is not: what the server refuses later comes back to its sender


@dataclass(frozen=True, slots=True)
class Gateway:
    """`host`: None is a backup for the domain's own hosts."""

    domain: str
    host: str | None
    port: int = 25
    knows: Knows = Knows.ASK


class Gateways:
    """get() costs a look-up: all are in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._all: dict[str, Gateway] = {}

    async def start(self) -> None:
        self._all = await self._database.run(_read)

    def get(self, domain: str) -> Gateway | None:
        return self._all.get(domain)

    def all(self) -> list[Gateway]:
        return [self._all[domain] for domain in sorted(self._all)]

    async def has(self, domain: str, key: str) -> bool:
        """Whether an address was named."""
        return await self._database.run(_has, domain, key)

    async def recipients(self, domain: str) -> list[str]:
        return await self._database.run(_recipients, domain)

    async def put(self, gateway: Gateway) -> None:
        """New, or changed. Raises DirectoryProblem for a domain whose mail is here."""
        await self._change(_put, gateway)

    async def remove(self, domain: str) -> None:
        await self._change(_remove, domain)

    async def name(self, domain: str, keys: list[str], *, there: bool) -> None:
        """Name recipients, or take them out."""
        await self._change(_name, domain, keys, there)

    async def _change(self, function: Any, *arguments: Any) -> None:
        await self._database.run(function, *arguments)
        await self.start()


def _read(connection: Connection) -> dict[str, Gateway]:
    found = {}
    for row in connection.execute(select(table)):
        knows = Knows(row.knows) if row.knows in set(Knows) else Knows.ASK
        found[row.domain] = Gateway(row.domain, row.host or None, row.port, knows)
    return found


def _has(connection: Connection, domain: str, key: str) -> bool:
    where = (recipient_table.c.domain == domain, recipient_table.c.address == key)
    return connection.execute(select(recipient_table.c.address).where(*where)).first() is not None


def _recipients(connection: Connection, domain: str) -> list[str]:
    query = select(recipient_table.c.address).where(recipient_table.c.domain == domain).order_by(recipient_table.c.address)
    return [row.address for row in connection.execute(query)]


def _put(connection: Connection, gateway: Gateway) -> None:
    if connection.execute(select(domain_table.c.name).where(domain_table.c.name == gateway.domain)).first():
        raise DirectoryProblem(f"the mail of {gateway.domain} is here; it can't be passed on")
    values = {"domain": gateway.domain, "host": gateway.host or "", "port": gateway.port, "knows": gateway.knows.value}
    if connection.execute(select(table.c.domain).where(table.c.domain == gateway.domain)).first():
        connection.execute(table.update().where(table.c.domain == gateway.domain).values(**values))
    else:
        connection.execute(insert(table).values(**values))


def _remove(connection: Connection, domain: str) -> None:
    connection.execute(delete(recipient_table).where(recipient_table.c.domain == domain))
    if not connection.execute(delete(table).where(table.c.domain == domain)).rowcount:
        raise DirectoryProblem(f"there is no gateway for {domain}")


def _name(connection: Connection, domain: str, keys: list[str], there: bool) -> None:
    if not connection.execute(select(table.c.domain).where(table.c.domain == domain)).first():
        raise DirectoryProblem(f"there is no gateway for {domain}")
    for key in keys:
        where = (recipient_table.c.domain == domain, recipient_table.c.address == key)
        if there:
            connection.execute(insert(recipient_table).prefix_with("OR IGNORE").values(domain=domain, address=key))
        elif not connection.execute(delete(recipient_table).where(*where)).rowcount:
            raise DirectoryProblem(f"{key} is not among the recipients of {domain}")
