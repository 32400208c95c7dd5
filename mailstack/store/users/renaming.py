"""Another address for an account, in the database, for its thread: its mail, passwords and devices stay what they are.

Its folder stays as it is, so that nothing on disk moves; see Account.folder.
"""

from typing import Any

from sqlalchemy import Connection, Table, insert, select, text, update
from sqlmodel import SQLModel

from mailstack.message.address import Address
from mailstack.store.users.models import Account, Alias, KnownRecipient, SendingLimit, Sent, Stopped
from mailstack.store.users.names import all_domains
from mailstack.store.users.records import DirectoryProblem

account_table: Any = Account.__table__  # type: ignore[attr-defined]
alias_table: Any = Alias.__table__  # type: ignore[attr-defined]
# Columns that hold an account's address, though it may be gone: no foreign key says so.
LOOSE: tuple[Any, ...] = (
    SendingLimit.subject,
    Sent.subject,
    KnownRecipient.account,
    Stopped.account,
    Alias.target,
)


def rename(connection: Connection, old: str, new: Address, keep: bool) -> None:
    """`keep`: the old address stays, as an alias. Raises DirectoryProblem."""
    _may(connection, old, new)
    connection.execute(text("PRAGMA defer_foreign_keys=ON"))  # until all of it is done
    for table in SQLModel.metadata.sorted_tables:
        for column in _references(table):
            connection.execute(update(table).where(column == old).values({column.name: new.key}))
    for attribute in LOOSE:
        table, column = attribute.class_.__table__, attribute.property.columns[0]
        connection.execute(update(table).prefix_with("OR REPLACE").where(column == old).values({column.name: new.key}))
    connection.execute(update(account_table).where(account_table.c.address == old).values(address=new.key, domain=new.domain))
    if keep:
        connection.execute(insert(alias_table).values(source=old, target=new.key, domain=old.rpartition("@")[2]))


def _references(table: Table) -> list[Any]:
    return [column for column in table.columns if any(key.target_fullname == "account.address" for key in column.foreign_keys)]


def _may(connection: Connection, old: str, new: Address) -> None:
    def there(column: Any, value: str) -> bool:
        return connection.execute(select(column).where(column == value)).first() is not None

    if not there(account_table.c.address, old):
        raise DirectoryProblem(f"there is no account {old}")
    if new.domain not in all_domains(connection):
        raise DirectoryProblem(f"domain {new.domain} is not here; add it first: mailstack domain add {new.domain}")
    targets = connection.execute(select(alias_table.c.target).where(alias_table.c.source == new.key)).scalars().all()
    if there(account_table.c.address, new.key) or (targets and targets != [old]):
        raise DirectoryProblem(f"{new.key} is there already")
    # An alias that led to it alone is it now.
    connection.execute(alias_table.delete().where(alias_table.c.source == new.key))
