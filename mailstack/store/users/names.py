"""Domains and aliases in the database, for its thread."""

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from mailstack.store.users import mailings
from mailstack.store.users.models import Account, Alias, Domain, GatewayRow
from mailstack.store.users.records import DirectoryProblem

account_table: Any = Account.__table__  # type: ignore[attr-defined]
alias_table: Any = Alias.__table__  # type: ignore[attr-defined]
domain_table: Any = Domain.__table__  # type: ignore[attr-defined]
gateway_table: Any = GatewayRow.__table__  # type: ignore[attr-defined]


def all_domains(connection: Connection) -> list[str]:
    return [row.name for row in connection.execute(select(domain_table).order_by(domain_table.c.name))]


def add_domain(connection: Connection, name: str) -> None:
    if connection.execute(select(gateway_table.c.domain).where(gateway_table.c.domain == name)).first():
        raise DirectoryProblem(f"the mail of {name} is passed on; first: mailstack gateway remove {name}")
    connection.execute(insert(domain_table).values(name=name))


def remove_domain(connection: Connection, name: str) -> None:
    if connection.execute(select(account_table.c.address).where(account_table.c.domain == name)).first():
        raise DirectoryProblem(f"domain {name} has accounts: remove them first")
    connection.execute(delete(alias_table).where(alias_table.c.domain == name))
    connection.execute(delete(mailings.table).where(mailings.table.c.domain == name))
    connection.execute(delete(domain_table).where(domain_table.c.name == name))


def aliases_of(connection: Connection, key: str) -> tuple[str, ...]:
    found = connection.execute(select(alias_table.c.source).where(alias_table.c.target == key))
    return tuple(row.source for row in found if not row.source.startswith("@"))


def add_alias(connection: Connection, source: str, targets: list[str]) -> None:
    domain = source.rpartition("@")[2]
    if domain not in all_domains(connection):
        raise DirectoryProblem(f"domain {domain} is not here; add it first: mailstack domain add {domain}")
    if connection.execute(select(account_table.c.address).where(account_table.c.address == source)).first():
        raise DirectoryProblem(f"{source} is an account")
    for target in targets:
        connection.execute(insert(alias_table).prefix_with("OR IGNORE").values(source=source, target=target, domain=domain))


def remove_alias(connection: Connection, source: str, target: str | None) -> int:
    statement = delete(alias_table).where(alias_table.c.source == source)
    if target is not None:
        statement = statement.where(alias_table.c.target == target)
    removed = connection.execute(statement).rowcount
    if connection.execute(select(alias_table.c.target).where(alias_table.c.source == source)).first() is None:
        mailings.remove(connection, source)
    return removed


def list_aliases(connection: Connection) -> list[dict[str, Any]]:
    query = select(alias_table.c.source, alias_table.c.target).order_by(alias_table.c.source, alias_table.c.target)
    return [dict(row._mapping) for row in connection.execute(query)]
