"""Aliases that are mailing lists: who may write to them, and what their mail says of them."""

import enum
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from mailstack.store.users.models import MailingRow

table: Any = MailingRow.__table__  # type: ignore[attr-defined]


class Posting(enum.StrEnum):
    """Who may write to a list."""

    ANYONE = "anyone"
    MEMBERS = "members"
    DOMAIN = "domain"  # accounts of its domain
    NAMED = "named"  # nobody but the posters


@dataclass(frozen=True, slots=True)
class Mailing:
    """`address` is the alias. `posters` may write besides those of `posting`; all as keys."""

    address: str
    posting: Posting = Posting.MEMBERS
    posters: frozenset[str] = frozenset()
    name: str = ""
    owner: str = ""  # who hears of bounces; empty: postmaster
    unsubscribe: str = ""  # URL, https: or mailto:

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    @property
    def bounces(self) -> str:
        """The envelope's sender of its mail: what comes back goes to the owner."""
        local, _, domain = self.address.rpartition("@")
        return f"{local}+bounces@{domain}"

    @property
    def id(self) -> str:
        """RFC 2919 3: of List-Id."""
        local, _, domain = self.address.rpartition("@")
        return f"{local.replace('+', '-').replace('_', '-')}.{domain}"


def read(connection: Connection, source: str) -> Mailing | None:
    row = connection.execute(select(table).where(table.c.source == source)).first()
    return _mailing(row) if row is not None else None


def read_all(connection: Connection) -> dict[str, Mailing]:
    return {row.source: _mailing(row) for row in connection.execute(select(table))}


def write(connection: Connection, mailing: Mailing, domain: str) -> None:
    values = {"source": mailing.address, "domain": domain, "posting": mailing.posting.value, "name": mailing.name}
    values |= {"posters": " ".join(sorted(mailing.posters)), "owner": mailing.owner, "unsubscribe": mailing.unsubscribe}
    connection.execute(insert(table).prefix_with("OR REPLACE").values(**values))


def remove(connection: Connection, source: str) -> int:
    return connection.execute(delete(table).where(table.c.source == source)).rowcount


def _mailing(row: Any) -> Mailing:
    posting = Posting(row.posting) if row.posting in set(Posting) else Posting.NAMED
    return Mailing(row.source, posting, frozenset(row.posters.split()), row.name, row.owner, row.unsubscribe)
