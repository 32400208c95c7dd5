"""App passwords: a password for one device, with what it is good for, how long, and when it was used last."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users.models import AppPassword
from mailstack.store.users.scope import ALL, SCOPES, Scope

app_table: Any = AppPassword.__table__  # type: ignore[attr-defined]

_BY_DIGEST = select(app_table).where(app_table.c.digest == bindparam("digest"))
_OF_ACCOUNT = select(app_table).where(app_table.c.account == bindparam("account")).order_by(app_table.c.created)
CLIENT_LIMIT = 100  # characters that are kept of what a client says of itself


@dataclass(frozen=True, slots=True)
class Device:
    """One app password as the doors need it."""

    digest: str
    account: str
    label: str
    scope: Scope = ALL
    expires: float | None = None  # None: never
    scram: str | None = None

    def expired(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now


class Devices:
    """Look-ups, and when each was used: what a login costs is one entry in a dictionary, written with others later."""

    def __init__(self, database: Database, behind: WriteBehind) -> None:
        self._database = database
        self._behind = behind

    def used(self, device: Device, moment: float, peer: str, client: str) -> None:
        """Note a login, or what the client said of itself later."""
        self._behind.put(("device", device.digest), _note_use, (device.digest, moment, peer[:64], client[:CLIENT_LIMIT]))

    async def listing(self, account: str) -> list[dict[str, Any]]:
        await self._behind.flush()
        return await self._database.run(_list, account)


def device_of(row: Any) -> Device:
    # A scope that a newer version wrote is none of ours: it admits nobody.
    scope = next((one for one in SCOPES if one.name == row.scope), Scope(row.scope, frozenset(), read_only=True))
    return Device(row.digest, row.account, row.label, scope, row.expires, row.scram)


def by_digest(connection: Connection, digest: str) -> Device | None:
    row = connection.execute(_BY_DIGEST, {"digest": digest}).first()
    return device_of(row) if row is not None else None


def of_account(connection: Connection, account: str) -> list[Device]:
    return [device_of(row) for row in connection.execute(_OF_ACCOUNT, {"account": account})]


def add(connection: Connection, device: Device, created: float) -> bool:
    """False when the account has one of that label."""
    same = select(app_table.c.digest).where(app_table.c.account == device.account, app_table.c.label == device.label)
    if connection.execute(same).first():
        return False
    values = {"digest": device.digest, "account": device.account, "label": device.label, "created": created}
    values |= {"scope": device.scope.name, "expires": device.expires, "scram": device.scram}
    connection.execute(insert(app_table).values(**values))
    return True


def remove(connection: Connection, account: str, label: str) -> int:
    return connection.execute(delete(app_table).where(app_table.c.account == account, app_table.c.label == label)).rowcount


def _note_use(connection: Connection, uses: list[tuple[str, float, str, str]]) -> None:
    names = ("last_used", "last_peer", "last_client")
    query = update(app_table).where(app_table.c.digest == bindparam("of")).values({name: bindparam(name) for name in names})
    connection.execute(query, [{"of": digest, **dict(zip(names, rest, strict=True))} for digest, *rest in uses])


def _list(connection: Connection, account: str) -> list[dict[str, Any]]:
    names = ("label", "scope", "created", "expires", "last_used", "last_peer", "last_client")
    query = select(*(app_table.c[name] for name in names)).where(app_table.c.account == account)
    return [dict(row._mapping) for row in connection.execute(query.order_by(app_table.c.created))]
