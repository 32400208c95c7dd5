"""Who logged in where: a row for each way in of an account, with its first time and its last."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users.models import Account, LoginRow

table: Any = LoginRow.__table__  # type: ignore[attr-defined]
account_table: Any = Account.__table__  # type: ignore[attr-defined]
EACH = 100  # of one account; what was used last stays
AGAIN_SECONDS = 60.0  # the same way in is not written down again within that time
REMEMBERED = 20_000
CLIENT_LIMIT = 200  # characters that are kept of what a client says of itself
Way = tuple[str, str, str, str]  # account, protocol, peer, label of an app password or nothing


class LoginBook:
    """One for the server: what a login costs is one entry in a dictionary, written with others later."""

    def __init__(self, database: Database, behind: WriteBehind, clock: Callable[[], float]) -> None:
        self._database = database
        self._behind = behind
        self._clock = clock
        self._noted: OrderedDict[Way, tuple[float, str]] = OrderedDict()

    def seen(self, account: str, protocol: str, peer: str, device: str, client: str) -> None:
        """Note a login, or what the client said of itself later."""
        way, now, client = (account, protocol, peer[:64], device), self._clock(), client[:CLIENT_LIMIT]
        at, said = self._noted.pop(way, (0.0, ""))
        known = said == client or not client
        self._noted[way] = (now, client) if not known or now - at > AGAIN_SECONDS else (at, said)
        if len(self._noted) > REMEMBERED:
            self._noted.popitem(last=False)
        if not known or now - at > AGAIN_SECONDS:
            self._behind.put(("login", *way), _note, (*way, client, now))

    async def listing(self, account: str) -> list[dict[str, Any]]:
        """The last one first."""
        await self._behind.flush()
        return await self._database.run(_list, account)

    async def recent(self, limit: int) -> list[dict[str, Any]]:
        """Of all accounts, the last ones first."""
        await self._behind.flush()
        return await self._database.run(_recent, limit)


_NAMES = ("account", "protocol", "peer", "device", "client", "first", "last")
_NEW = insert(table).values({name: bindparam(f"new_{name}") for name in _NAMES})
_SAID = func.coalesce(func.nullif(_NEW.excluded.client, ""), table.c.client)  # what a client said of itself stays
_NOTE = _NEW.on_conflict_do_update(
    index_elements=["account", "protocol", "peer", "device"], set_={"last": _NEW.excluded.last, "client": _SAID}
)
_HERE = select(account_table.c.address).where(account_table.c.address.in_(bindparam("accounts", expanding=True)))
_OLD = select(table.c.last).where(table.c.account == bindparam("of")).order_by(table.c.last.desc()).limit(1).offset(EACH)
_PRUNE = delete(table).where(table.c.account == bindparam("of"), table.c.last <= _OLD.scalar_subquery())


def _note(connection: Connection, facts: list[tuple[str, str, str, str, str, float]]) -> None:
    # An account that was removed since has no logins any more.
    here = set(connection.scalars(_HERE, {"accounts": sorted({fact[0] for fact in facts})}))
    facts = [fact for fact in facts if fact[0] in here]
    if not facts:
        return
    rows = [{f"new_{name}": value for name, value in zip(_NAMES, (*fact, fact[-1]), strict=True)} for fact in facts]
    connection.execute(_NOTE, rows)
    connection.execute(_PRUNE, [{"of": account} for account in sorted({fact[0] for fact in facts})])


def _list(connection: Connection, account: str) -> list[dict[str, Any]]:
    names = ("protocol", "peer", "device", "client", "first", "last")
    query = select(*(table.c[name] for name in names)).where(table.c.account == account).order_by(table.c.last.desc())
    return [dict(row._mapping) for row in connection.execute(query)]


def _recent(connection: Connection, limit: int) -> list[dict[str, Any]]:
    query = select(table).order_by(table.c.last.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(query)]


def forget(connection: Connection, account: str) -> None:
    connection.execute(delete(table).where(table.c.account == account))
