"""Hooks: URLs that are told of events, and what they are still to be told."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from mailstack.store.database import Database
from mailstack.store.users.models import Webhook, WebhookDue

hook_table: Any = Webhook.__table__  # type: ignore[attr-defined]
due_table: Any = WebhookDue.__table__  # type: ignore[attr-defined]

EACH = 10_000  # events that wait for one hook; older ones go


@dataclass(frozen=True, slots=True)
class Hook:
    """`account`: whose events; None: everybody's."""

    id: str
    url: str
    secret: str
    events: frozenset[str]
    account: str | None


@dataclass(frozen=True, slots=True)
class Due:
    """`id` stays the same at each attempt, so that a receiver knows it again."""

    id: str
    hook: str
    body: str
    created: float
    attempts: int = 0
    due: float = 0.0


class WebhookTable:
    """On the event loop; what it returns from is durable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def hooks(self) -> list[Hook]:
        return await self._database.run(_hooks)

    async def listing(self) -> list[dict[str, Any]]:
        return await self._database.run(_list)

    async def add(self, hook: Hook, now: float) -> None:
        await self._database.run(_add, hook, now)

    async def remove(self, id: str) -> bool:
        return await self._database.run(_remove, id)

    async def put(self, dues: list[Due]) -> None:
        await self._database.run(_put, dues)

    async def due(self, now: float, most: int) -> list[Due]:
        """What is to be told now, oldest first."""
        return await self._database.run(_due, now, most)

    async def done(self, ids: list[str]) -> None:
        await self._database.run(_done, ids)

    async def again(self, id: str, due: float, problem: str) -> None:
        await self._database.run(_again, id, due, problem)


def _hook(row: Any) -> Hook:
    return Hook(row.id, row.url, row.secret, frozenset(row.events.split()), row.account)


def _hooks(connection: Connection) -> list[Hook]:
    return [_hook(row) for row in connection.execute(select(hook_table))]


def _list(connection: Connection) -> list[dict[str, Any]]:
    waits = select(func.count()).where(due_table.c.hook == hook_table.c.id).scalar_subquery().label("waiting")
    problem = select(due_table.c.problem).where(due_table.c.hook == hook_table.c.id, due_table.c.problem.is_not(None))
    last = problem.order_by(due_table.c.due.desc()).limit(1).scalar_subquery().label("problem")
    names = [hook_table.c[name] for name in ("id", "url", "events", "account", "created")]
    return [dict(row._mapping) for row in connection.execute(select(*names, waits, last).order_by(hook_table.c.created))]


def _add(connection: Connection, hook: Hook, now: float) -> None:
    values = {"id": hook.id, "url": hook.url, "secret": hook.secret, "events": " ".join(sorted(hook.events))}
    connection.execute(insert(hook_table).values(**values, account=hook.account, created=now))


def _remove(connection: Connection, id: str) -> bool:
    connection.execute(delete(due_table).where(due_table.c.hook == id))
    return connection.execute(delete(hook_table).where(hook_table.c.id == id)).rowcount > 0


def forget(connection: Connection, account: str) -> None:
    """The account is removed."""
    for (id,) in connection.execute(select(hook_table.c.id).where(hook_table.c.account == account)).all():
        _remove(connection, id)


def _put(connection: Connection, dues: list[Due]) -> None:
    there = {id for (id,) in connection.execute(select(hook_table.c.id))}
    names = ("id", "hook", "body", "created", "attempts", "due")
    rows = [{name: getattr(one, name) for name in names} for one in dues if one.hook in there]
    if rows:
        connection.execute(insert(due_table).prefix_with("OR IGNORE"), rows)
    for hook in {row["hook"] for row in rows}:
        of = select(due_table.c.id).where(due_table.c.hook == hook).order_by(due_table.c.created.desc()).offset(EACH)
        connection.execute(delete(due_table).where(due_table.c.id.in_(of)))


def _due(connection: Connection, now: float, most: int) -> list[Due]:
    query = select(due_table).where(due_table.c.due <= now).order_by(due_table.c.due, due_table.c.created).limit(most)
    return [Due(row.id, row.hook, row.body, row.created, row.attempts, row.due) for row in connection.execute(query)]


def _done(connection: Connection, ids: list[str]) -> None:
    connection.execute(delete(due_table).where(due_table.c.id == bindparam("of")), [{"of": id} for id in ids])


def _again(connection: Connection, id: str, due: float, problem: str) -> None:
    values = {"attempts": due_table.c.attempts + 1, "due": due, "problem": problem}
    connection.execute(update(due_table).where(due_table.c.id == id).values(**values))
