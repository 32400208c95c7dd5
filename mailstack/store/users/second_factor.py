"""One-time codes (RFC 6238) beside the password, and codes for the day on which the telephone is gone."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyotp
from sqlalchemy import Connection, delete, func, insert, select, update

from mailstack.store.database import Database
from mailstack.store.users.models import RecoveryCode, SecondFactorRow

table: Any = SecondFactorRow.__table__  # type: ignore[attr-defined]
recovery_table: Any = RecoveryCode.__table__  # type: ignore[attr-defined]

STEP_SECONDS = 30
WRONG_EACH, WRONG_SECONDS = 10, 3600.0  # codes of an account; then only recovery codes are looked at
REMEMBERED = 20_000
RECOVERY_CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_LETTERS = 16  # 79 bits


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """`since`: None while it is being set up."""

    secret: str
    since: float | None
    recovery_left: int


class Codes:
    """Judges codes. On the event loop; wrong ones are counted by account, whoever sends them."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    async def state(self, account: str) -> SecondFactor | None:
        return await self._database.run(_state, account)

    async def take(self, account: str, typed: str) -> bool:
        """Whether a code is good; it is not good again. Durable when it returns."""
        code = "".join(typed.split()).replace("-", "").lower()
        if len(code) == _LETTERS:
            return await self._database.run(_take_recovery, account, _digest(account, code))
        now = self._clock()
        wrong = [moment for moment in self._wrong.pop(account, ()) if now - moment < WRONG_SECONDS]
        good = len(wrong) < WRONG_EACH and await self._database.run(_take, account, code, now)
        if not good:
            self._wrong[account] = [*wrong[-WRONG_EACH:], now]
            while len(self._wrong) > REMEMBERED:
                self._wrong.popitem(last=False)
        return good


def make_secret() -> str:
    return pyotp.random_base32()


def make_recovery() -> list[str]:
    """As they are shown: four groups of four."""
    made = ("".join(secrets.choice(_ALPHABET) for _ in range(_LETTERS)) for _ in range(RECOVERY_CODES))
    return ["-".join(text[place : place + 4] for place in range(0, _LETTERS, 4)) for text in made]


def provisioning_uri(secret: str, account: str, issuer: str) -> str:
    """What an authenticator reads as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)


def is_on(connection: Connection, account: str) -> bool:
    query = select(table.c.account).where(table.c.account == account, table.c.since.is_not(None))
    return connection.execute(query).first() is not None


def prepare(connection: Connection, account: str, secret: str) -> bool:
    """A secret that does not count yet. False where one does."""
    if is_on(connection, account):
        return False
    connection.execute(delete(table).where(table.c.account == account))
    connection.execute(insert(table).values(account=account, secret=secret, since=None, step=0))
    return True


def confirm(connection: Connection, account: str, code: str, now: float, recovery: list[str]) -> bool:
    """From now on it counts, if the code is one of the prepared secret."""
    row = connection.execute(select(table).where(table.c.account == account, table.c.since.is_(None))).first()
    step = _step(row.secret, "".join(code.split()), now, 0) if row is not None else None
    if step is None:
        return False
    connection.execute(update(table).where(table.c.account == account).values(since=now, step=step))
    renew_recovery(connection, account, recovery)
    return True


def renew_recovery(connection: Connection, account: str, codes: list[str]) -> None:
    """The old ones are void."""
    connection.execute(delete(recovery_table).where(recovery_table.c.account == account))
    for code in codes:
        connection.execute(insert(recovery_table).values(digest=_digest(account, code.replace("-", "")), account=account))


def remove(connection: Connection, account: str) -> bool:
    """Whether there was one that counted."""
    was_on = is_on(connection, account)
    for one in (table, recovery_table):
        connection.execute(delete(one).where(one.c.account == account))
    return was_on


def _state(connection: Connection, account: str) -> SecondFactor | None:
    row = connection.execute(select(table).where(table.c.account == account)).first()
    left = select(func.count()).where(recovery_table.c.account == account)
    return SecondFactor(row.secret, row.since, connection.execute(left).scalar_one()) if row is not None else None


def _take(connection: Connection, account: str, code: str, now: float) -> bool:
    row = connection.execute(select(table).where(table.c.account == account, table.c.since.is_not(None))).first()
    step = _step(row.secret, code, now, row.step) if row is not None else None
    if step is not None:
        connection.execute(update(table).where(table.c.account == account).values(step=step))
    return step is not None


def _step(secret: str, code: str, now: float, last: int) -> int | None:
    """The step of a code: the one before and the one after count too (RFC 6238 5.2), but none that was taken already."""
    current, totp, typed = int(now // STEP_SECONDS), pyotp.TOTP(secret), code.encode("utf-8", "surrogatepass")
    steps = (current - 1, current, current + 1)
    found = [one for one in steps if hmac.compare_digest(totp.generate_otp(one).encode(), typed)]
    return max((one for one in found if one > last), default=None)


def _take_recovery(connection: Connection, account: str, digest: str) -> bool:
    if not is_on(connection, account):
        return False
    where = (recovery_table.c.account == account, recovery_table.c.digest == digest)
    return bool(connection.execute(delete(recovery_table).where(*where)).rowcount)


def _digest(account: str, code: str) -> str:
    return hashlib.sha256(f"{account}\0{code}".encode("utf-8", "surrogatepass")).hexdigest()
