"""Tokens of the HTTP API: of each only the digest is kept. And what was sent under keys of the sender's choice."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users.models import ApiSent, ApiToken

token_table: Any = ApiToken.__table__  # type: ignore[attr-defined]
sent_table: Any = ApiSent.__table__  # type: ignore[attr-defined]

PREFIX = "mst_"  # so that one that leaked is recognised
KEPT_SECONDS = 86400.0  # how long a key is remembered


@dataclass(frozen=True, slots=True)
class Token:
    """`account`: in whose name it acts; None: an admin's."""

    digest: str
    label: str
    account: str | None


@dataclass(frozen=True, slots=True)
class SentBefore:
    """What a key stands for: the hash of what was asked, and the message's id."""

    body: str
    id: str


class ApiTokens:
    def __init__(self, database: Database, behind: WriteBehind) -> None:
        self._database = database
        self._behind = behind

    async def add(self, label: str, account: str | None, now: float) -> str | None:
        """The new token; None where there is one of that label."""
        token = PREFIX + secrets.token_urlsafe(32)
        added = await self._database.run(_add, Token(digest_of(token), label, account), now)
        return token if added else None

    async def find(self, token: str) -> Token | None:
        if not token.startswith(PREFIX):
            return None
        return await self._database.run(_find, digest_of(token))

    def used(self, token: Token, now: float, peer: str) -> None:
        self._behind.put(("api-token", token.digest), _note_use, (token.digest, now, peer[:64]))

    async def listing(self) -> list[dict[str, Any]]:
        await self._behind.flush()
        return await self._database.run(_list)

    async def remove(self, label: str) -> bool:
        return await self._database.run(_remove, label)

    async def sent(self, token: Token, key: str, since: float) -> SentBefore | None:
        """What was sent under a key since a moment."""
        return await self._database.run(_sent, token.digest, key, since)

    async def keep(self, token: Token, key: str, sent: SentBefore, now: float) -> None:
        """Durable when it returns; older keys are forgotten."""
        await self._database.run(_keep, token.digest, key, sent, now)


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _add(connection: Connection, token: Token, now: float) -> bool:
    if connection.execute(select(token_table.c.digest).where(token_table.c.label == token.label)).first():
        return False
    values = {"digest": token.digest, "label": token.label, "account": token.account, "created": now}
    connection.execute(insert(token_table).values(**values))
    return True


def _find(connection: Connection, digest: str) -> Token | None:
    row = connection.execute(select(token_table).where(token_table.c.digest == digest)).first()
    return Token(row.digest, row.label, row.account) if row is not None else None


def _note_use(connection: Connection, uses: list[tuple[str, float, str]]) -> None:
    query = update(token_table).where(token_table.c.digest == bindparam("of"))
    query = query.values(last_used=bindparam("at"), last_peer=bindparam("by"))
    connection.execute(query, [{"of": digest, "at": at, "by": peer} for digest, at, peer in uses])


def _list(connection: Connection) -> list[dict[str, Any]]:
    names = ("label", "account", "created", "last_used", "last_peer")
    query = select(*(token_table.c[name] for name in names)).order_by(token_table.c.label)
    return [dict(row._mapping) for row in connection.execute(query)]


def _remove(connection: Connection, label: str) -> bool:
    row = connection.execute(select(token_table.c.digest).where(token_table.c.label == label)).first()
    if row is None:
        return False
    connection.execute(delete(sent_table).where(sent_table.c.digest == row.digest))
    connection.execute(delete(token_table).where(token_table.c.digest == row.digest))
    return True


def forget(connection: Connection, account: str) -> None:
    """The account is removed."""
    for (label,) in connection.execute(select(token_table.c.label).where(token_table.c.account == account)).all():
        _remove(connection, label)


def _sent(connection: Connection, digest: str, key: str, since: float) -> SentBefore | None:
    query = select(sent_table).where(sent_table.c.digest == digest, sent_table.c.key == key, sent_table.c.time >= since)
    row = connection.execute(query).first()
    return SentBefore(row.body, row.id) if row is not None else None


def _keep(connection: Connection, digest: str, key: str, sent: SentBefore, now: float) -> None:
    connection.execute(delete(sent_table).where(sent_table.c.time < now - KEPT_SECONDS))
    values = {"digest": digest, "key": key, "body": sent.body, "id": sent.id, "time": now}
    connection.execute(insert(sent_table).prefix_with("OR REPLACE").values(**values))
