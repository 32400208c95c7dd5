"""Links by which a device is set up: each works once, for ten minutes, over a restart, too.

Of a link's secret only the digest is kept, and the password that it gives is sealed with it: the database
gives neither away.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, delete, insert, select

from mailstack.store.database import Database
from mailstack.store.users.models import AppPassword, SetupLink

table: Any = SetupLink.__table__  # type: ignore[attr-defined]
app_table: Any = AppPassword.__table__  # type: ignore[attr-defined]

SECONDS = 600.0
PROFILE_SECONDS = 60.0
KEPT = 1000
_NONCE = bytes(12)  # each key seals one thing


@dataclass(frozen=True, slots=True)
class Offer:
    """What a link gives to whoever opens it first."""

    address: str
    label: str
    password: str


class SetupLinks:
    """One for the server. A link whose device was removed is over."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    async def offer(self, address: str, label: str, password: str, seconds: float = SECONDS) -> str:
        """The secret part of a new link."""
        token, now = secrets.token_urlsafe(20), self._clock()
        sealed = AESGCM(_key(token)).encrypt(_NONCE, password.encode(), None)
        values = {"digest": _digest(token), "account": address, "label": label, "sealed": sealed.hex(), "ends": now + seconds}
        await self._database.run(_add, values, now)
        return token

    async def look(self, token: str) -> Offer | None:
        """What a link gives, which it goes on to give; None when it is over."""
        return _opened(token, await self._database.run(_find, _digest(token), self._clock()))

    async def take(self, token: str) -> Offer | None:
        """The same, and the link is over, also after a crash."""
        return _opened(token, await self._database.run(_take, _digest(token), self._clock()))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _key(token: str) -> bytes:
    return hmac.digest(token.encode(errors="replace"), b"setup link", "sha256")


def _opened(token: str, row: Any) -> Offer | None:
    if row is None:
        return None
    password = AESGCM(_key(token)).decrypt(_NONCE, bytes.fromhex(row.sealed), None)
    return Offer(row.account, row.label, password.decode())


def _add(connection: Connection, values: dict[str, Any], now: float) -> None:
    connection.execute(delete(table).where(table.c.ends <= now))
    oldest = select(table.c.digest).order_by(table.c.ends.desc()).offset(KEPT - 1)
    connection.execute(delete(table).where(table.c.digest.in_(oldest)))
    connection.execute(insert(table).values(**values))


def _find(connection: Connection, digest: str, now: float) -> Any:
    device = select(app_table.c.digest).where(app_table.c.account == table.c.account, app_table.c.label == table.c.label)
    return connection.execute(select(table).where(table.c.digest == digest, table.c.ends > now, device.exists())).first()


def _take(connection: Connection, digest: str, now: float) -> Any:
    found = _find(connection, digest, now)
    connection.execute(delete(table).where(table.c.digest == digest))
    return found


def forget(connection: Connection, account: str) -> None:
    """The account is removed."""
    connection.execute(delete(table).where(table.c.account == account))
