"""Browsers that are logged in. Of a session's token only the digest is kept: who reads the database can't come in with it."""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users.models import Account, WebSession

table: Any = WebSession.__table__  # type: ignore[attr-defined]
account_table: Any = Account.__table__  # type: ignore[attr-defined]

IDLE_SECONDS = 12 * 3600.0
LONGEST_SECONDS = 30 * 86400.0
SEEN_SECONDS = 60.0  # a use within that time of the last one is not written down
EACH = 50  # of one account; the oldest ends
CACHE_LIMIT = 20_000
AGENT_LIMIT = 200  # characters that are kept of what a browser says of itself


@dataclass(frozen=True, slots=True)
class Session:
    """`digest` names it; the token is known to the browser alone."""

    digest: str
    account: str
    created: float
    seen: float
    peer: str
    agent: str

    def over(self, now: float) -> bool:
        return now - self.seen > IDLE_SECONDS or now - self.created > LONGEST_SECONDS


class Sessions:
    """On the event loop. A session that was ended is never found again, nor after a crash."""

    def __init__(self, database: Database, behind: WriteBehind, clock: Callable[[], float]) -> None:
        self._database = database
        self._behind = behind
        self._clock = clock
        self._known: dict[str, Session] = {}
        self._ended = 0  # how often some were ended

    async def begin(self, account: str, password: str, peer: str, agent: str) -> str | None:
        """A new token; durable when it returns. None where the account has another password by now, or is off."""
        token, now = secrets.token_urlsafe(32), self._clock()
        session = Session(digest_of(token), account, now, now, peer[:64], agent[:AGENT_LIMIT])
        return token if await self._database.run(_add, session, password) else None

    async def find(self, token: str, *, touch: bool = True) -> Session | None:
        """Whose token this is, now. `touch`: it is used by somebody, and lives on."""
        digest, now = digest_of(token), self._clock()
        found = self._known.get(digest)
        if found is None:
            ended = self._ended
            found = await self._database.run(_find, digest)
            if found is None or ended != self._ended:
                return None if found is None else await self.find(token, touch=touch)
        if found.over(now):
            await self.end(found.account, digest)
            return None
        if touch and now - found.seen > SEEN_SECONDS:
            found = replace(found, seen=now)
            self._behind.put(("session", digest), _note_seen, (digest, now))
        if len(self._known) >= CACHE_LIMIT:
            self._known.clear()
        self._known[digest] = found
        return found

    async def end(self, account: str, digest: str) -> bool:
        """Whether the account had such a one."""
        try:
            return bool(await self._database.run(_end, account, digest))
        finally:
            self._forget(lambda one: one.digest == digest and one.account == account)

    async def end_others(self, account: str, digest: str | None = None) -> int:
        """All of an account but one."""
        try:
            return await self._database.run(end_all, account, digest)
        finally:
            self._forget(lambda one: one.account == account and one.digest != digest)

    def forget(self, account: str) -> None:
        """They were ended in the database."""
        self._forget(lambda one: one.account == account)

    def _forget(self, ends: Callable[[Session], bool]) -> None:
        self._ended += 1
        for digest in [digest for digest, one in self._known.items() if ends(one)]:
            del self._known[digest]

    async def listing(self, account: str) -> list[Session]:
        """The one that was used last is the first."""
        await self._behind.flush()
        now = self._clock()
        return [one for one in await self._database.run(_list, account) if not one.over(now)]


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _session(row: Any) -> Session:
    return Session(row.digest, row.account, row.created, row.seen, row.peer, row.agent)


def _add(connection: Connection, session: Session, password: str) -> bool:
    wanted = select(account_table.c.password, account_table.c.disabled).where(account_table.c.address == session.account)
    row = connection.execute(wanted).first()
    if row is None or row.disabled or row.password != password:
        return False
    over = table.c.seen < session.created - IDLE_SECONDS, table.c.created < session.created - LONGEST_SECONDS
    connection.execute(delete(table).where(over[0] | over[1]))
    oldest = select(table.c.digest).where(table.c.account == session.account).order_by(table.c.seen.desc()).offset(EACH - 1)
    connection.execute(delete(table).where(table.c.digest.in_(oldest)))
    values = {name: getattr(session, name) for name in ("digest", "account", "created", "seen", "peer", "agent")}
    connection.execute(insert(table).values(**values))
    return True


def _find(connection: Connection, digest: str) -> Session | None:
    row = connection.execute(select(table).where(table.c.digest == digest)).first()
    return _session(row) if row is not None else None


def _note_seen(connection: Connection, uses: list[tuple[str, float]]) -> None:
    query = update(table).where(table.c.digest == bindparam("of")).values(seen=bindparam("at"))
    connection.execute(query, [{"of": digest, "at": moment} for digest, moment in uses])


def _end(connection: Connection, account: str, digest: str) -> int:
    return connection.execute(delete(table).where(table.c.account == account, table.c.digest == digest)).rowcount


def end_all(connection: Connection, account: str, but: str | None = None) -> int:
    return connection.execute(delete(table).where(table.c.account == account, table.c.digest != (but or ""))).rowcount


def _list(connection: Connection, account: str) -> list[Session]:
    query = select(table).where(table.c.account == account).order_by(table.c.seen.desc())
    return [_session(row) for row in connection.execute(query)]
