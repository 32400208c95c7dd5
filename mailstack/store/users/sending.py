"""What accounts and domains sent, how much they may, and who is stopped. Counts are written a second late, stops at once."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users.models import KnownRecipient, SendingLimit, Sent, Stopped

limit_table: Any = SendingLimit.__table__  # type: ignore[attr-defined]
sent_table: Any = Sent.__table__  # type: ignore[attr-defined]
known_table: Any = KnownRecipient.__table__  # type: ignore[attr-defined]
stopped_table: Any = Stopped.__table__  # type: ignore[attr-defined]

AT_ONCE = 500  # recipients in one question
_NAMES = ("hour", "day", "fresh", "recipients")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much may be sent: messages an hour and a day, recipients never written to before a day, recipients of one message.

    0 is any number; None, in an exception for one account or domain, is what the settings say.
    """

    hour: int | None = None
    day: int | None = None
    fresh: int | None = None
    recipients: int | None = None

    def over(self, settings: "Allowance") -> "Allowance":
        """This exception, with what the settings say where it says nothing."""
        if self == _NO_EXCEPTION:
            return settings
        return Allowance(*(own if (own := getattr(self, name)) is not None else getattr(settings, name) for name in _NAMES))


_NO_EXCEPTION = Allowance()


@dataclass(frozen=True, slots=True)
class Stop:
    """An account may not send: since when, by which sign, and in words for its owner."""

    account: str
    since: float
    sign: str
    text: str


@dataclass(slots=True)
class Page:
    """One account or domain ("@domain"): its exception, whether it is stopped, and messages and new recipients by slot."""

    subject: str
    exception: Allowance = Allowance()
    stop: Stop | None = None
    messages: dict[int, int] = field(default_factory=dict)
    fresh: dict[int, int] = field(default_factory=dict)


class SendingBook:
    def __init__(self, database: Database, behind: WriteBehind) -> None:
        self._database = database
        self._behind = behind

    async def load(self, subject: str, since: int) -> Page:
        """With the slots from `since` on; older ones are removed."""
        await self._behind.flush()  # what was counted when it was in memory before
        return await self._database.run(_load, subject, since)

    async def known(self, account: str, most: int) -> list[str]:
        """To whom the account wrote: so many of them, at most."""
        await self._behind.flush()
        return await self._database.run(_known, account, most)

    async def unknown(self, account: str, recipients: list[str]) -> set[str]:
        """Those of `recipients` to whom the account never wrote."""
        return await self._database.run(_unknown, account, recipients)

    def count(self, page: Page, slot: int) -> None:
        values = page.messages.get(slot, 0), page.fresh.get(slot, 0)
        self._behind.put(("sent", page.subject, slot), _count, (page.subject, slot, *values))

    def learn(self, account: str, recipients: Iterable[str]) -> None:
        for recipient in recipients:
            self._behind.put(("known", account, recipient), _learn, (account, recipient))

    async def except_(self, subject: str, exception: Allowance) -> None:
        await self._database.run(_except, subject, exception)

    async def stop(self, stop: Stop) -> bool:
        """Durable when it returns; False when it was stopped already."""
        return await self._database.run(_stop, stop)

    async def release(self, account: str) -> bool:
        """False when it was not stopped."""
        return await self._database.run(_release, account)

    async def stops(self) -> list[Stop]:
        return await self._database.run(_stops)

    async def forget(self, account: str) -> None:
        """The account is removed."""
        await self._behind.flush()
        await self._database.run(_forget, account)


def _load(connection: Connection, subject: str, since: int) -> Page:
    connection.execute(delete(sent_table).where(sent_table.c.subject == subject, sent_table.c.slot < since))
    page = Page(subject)
    row = connection.execute(select(limit_table).where(limit_table.c.subject == subject)).first()
    if row is not None:
        page.exception = Allowance(*(getattr(row, name) for name in _NAMES))
    stopped = connection.execute(select(stopped_table).where(stopped_table.c.account == subject)).first()
    if stopped is not None:
        page.stop = Stop(stopped.account, stopped.since, stopped.sign, stopped.text)
    for one in connection.execute(select(sent_table).where(sent_table.c.subject == subject)):
        page.messages[one.slot], page.fresh[one.slot] = one.messages, one.fresh
    return page


def _unknown(connection: Connection, account: str, recipients: list[str]) -> set[str]:
    left = set(recipients)
    for first in range(0, len(recipients), AT_ONCE):
        some = recipients[first : first + AT_ONCE]
        query = select(known_table.c.recipient).where(known_table.c.account == account, known_table.c.recipient.in_(some))
        left.difference_update(recipient for (recipient,) in connection.execute(query))
    return left


def _known(connection: Connection, account: str, most: int) -> list[str]:
    query = select(known_table.c.recipient).where(known_table.c.account == account).limit(most)
    return [recipient for (recipient,) in connection.execute(query)]


def _count(connection: Connection, rows: list[tuple[str, int, int, int]]) -> None:
    names = ("subject", "slot", "messages", "fresh")
    connection.execute(insert(sent_table).prefix_with("OR REPLACE"), [dict(zip(names, row, strict=True)) for row in rows])


def _learn(connection: Connection, rows: list[tuple[str, str]]) -> None:
    values = [{"account": account, "recipient": recipient} for account, recipient in rows]
    connection.execute(insert(known_table).prefix_with("OR IGNORE"), values)


def _except(connection: Connection, subject: str, exception: Allowance) -> None:
    values = {name: getattr(exception, name) for name in _NAMES}
    connection.execute(insert(limit_table).prefix_with("OR REPLACE").values(subject=subject, **values))


def _stop(connection: Connection, stop: Stop) -> bool:
    values = {"account": stop.account, "since": stop.since, "sign": stop.sign, "text": stop.text}
    return connection.execute(insert(stopped_table).prefix_with("OR IGNORE").values(**values)).rowcount > 0


def _release(connection: Connection, account: str) -> bool:
    return connection.execute(delete(stopped_table).where(stopped_table.c.account == account)).rowcount > 0


def _stops(connection: Connection) -> list[Stop]:
    query = select(stopped_table).order_by(stopped_table.c.since)
    return [Stop(row.account, row.since, row.sign, row.text) for row in connection.execute(query)]


def _forget(connection: Connection, account: str) -> None:
    for column in (limit_table.c.subject, sent_table.c.subject, stopped_table.c.account, known_table.c.account):
        connection.execute(delete(column.table).where(column == account))
