"""Whether this program can read a database: every table, with the models of this program."""

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlmodel import SQLModel

from mailstack.store.errors import StoreFailed
from mailstack.store.users import models


def read_everything(connection: Connection) -> list[str]:
    """The folders of its accounts. Raises StoreFailed with the table that can't be read."""
    known = {table.name: table for table in SQLModel.metadata.sorted_tables if table.name in _ours()}
    there = set(sa.inspect(connection).get_table_names())
    for name in sorted(known.keys() - there):
        raise StoreFailed(f"the table {name} is not there")
    for name in sorted(there):
        table = known.get(name)
        query = sa.select(table) if table is not None else sa.select(sa.text("*")).select_from(sa.table(name))
        try:
            for _ in connection.execute(query):
                pass
        except (sa.exc.SQLAlchemyError, ValueError, TypeError, LookupError) as problem:
            raise StoreFailed(f"the table {name} can't be read: {problem}") from problem
    return [row[0] for row in connection.execute(sa.select(known["account"].c.folder))]


def _ours() -> set[str]:
    """Names of the tables that the models describe."""
    found = (getattr(value, "__tablename__", None) for value in vars(models).values() if isinstance(value, type))
    return {str(name) for name in found if name is not None}
