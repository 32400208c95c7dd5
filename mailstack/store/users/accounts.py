"""Accounts in the database, for its thread."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from mailstack.message.address import Address
from mailstack.store.users import (
    api_tokens,
    certificates,
    devices,
    logins,
    mailings,
    second_factor,
    senders,
    sessions,
    setup_links,
    webhooks,
)
from mailstack.store.users.devices import Device, app_table
from mailstack.store.users.models import Account, Alias, Setting
from mailstack.store.users.names import all_domains
from mailstack.store.users.records import NOTHING, AccountRecord, DirectoryProblem, Entry

account_table: Any = Account.__table__  # type: ignore[attr-defined]
alias_table: Any = Alias.__table__  # type: ignore[attr-defined]
setting_table: Any = Setting.__table__  # type: ignore[attr-defined]

_ACCOUNT = select(account_table).where(account_table.c.address == bindparam("key"))
_TARGETS = select(alias_table.c.target).where(alias_table.c.source == bindparam("key"))


def folder_name(address: Address, taken: set[str]) -> str:
    """Where a new account's mail goes: percent-encoded, and never a folder that another account had."""
    local = quote(address.key.rpartition("@")[0], safe="+_=-").replace("~", "%7E")
    local = local.replace(".", "%2E") if local.startswith(".") or local.endswith(".") else local
    name = f"{address.domain}/{local}"
    number = 1
    while name in taken:
        number += 1
        name = f"{address.domain}/{local}={number}"
    return name


def _record(row: Any, second_factor: bool) -> AccountRecord:
    own = row.address, row.password, row.quota, row.disabled, row.folder, row.capabilities, row.scram
    return AccountRecord(*own, admin=row.admin, second_factor=second_factor)


def entry(connection: Connection, key: str) -> Entry:
    row = connection.execute(_ACCOUNT, {"key": key}).first()
    targets = tuple(target for (target,) in connection.execute(_TARGETS, {"key": key}))
    if row is None:
        return Entry(None, targets, mailing=mailings.read(connection, key)) if targets else NOTHING
    return Entry(_record(row, second_factor.is_on(connection, key)), targets, senders.of_account(connection, key))


def scram_keys(connection: Connection, key: str) -> list[tuple[str, Device | None]]:
    own = connection.execute(select(account_table.c.scram).where(account_table.c.address == key)).scalar()
    found: list[tuple[str, Device | None]] = [(own, None)] if own is not None else []
    return found + [(one.scram, one) for one in devices.of_account(connection, key) if one.scram is not None]


def scram_whole(connection: Connection) -> bool:
    accounts = select(account_table.c.address).where(account_table.c.scram.is_(None), account_table.c.disabled.is_(False))
    apps = select(app_table.c.digest).where(app_table.c.scram.is_(None))
    return not any(connection.execute(query.limit(1)).first() for query in (accounts, apps))


def add(
    connection: Connection, rows: list[tuple[Address, str, int | None]], created: float, scram: Mapping[str, str | None]
) -> list[AccountRecord]:
    domains = set(all_domains(connection))
    taken = {row.folder for row in connection.execute(select(account_table.c.folder))}
    taken |= {row.value for row in connection.execute(select(setting_table.c.value).where(setting_table.c.name.like("gone:%")))}
    have = {row.address for row in connection.execute(select(account_table.c.address))}
    have |= {row.source for row in connection.execute(select(alias_table.c.source))}
    added = []
    for address, hashed, quota in rows:
        if address.domain not in domains:
            raise DirectoryProblem(f"{address}: domain {address.domain} is not here; add it first: mailstack domain add")
        if address.key in have:
            raise DirectoryProblem(f"{address.key} is there already")
        have.add(address.key)
        folder = folder_name(address, taken)
        taken.add(folder)
        values = {"address": address.key, "domain": address.domain, "password": hashed, "quota": quota}
        values |= {"scram": scram.get(address.key), "capabilities": ""}
        connection.execute(insert(account_table).values(**values, disabled=False, folder=folder, created=created))
        added.append(AccountRecord(address.key, hashed, quota, False, folder, scram=scram.get(address.key)))
    return added


def take_back(
    connection: Connection, address: Address, hashed: str, scram: str | None, created: float, wanted: str | None
) -> AccountRecord:
    """An account that was removed, with the folder that it had. Raises DirectoryProblem."""
    gone, whose = _settings(connection, "gone:"), _settings(connection, "gone-address:")
    plain = re.compile(re.escape(folder_name(address, set())) + "(=[0-9]+)?")

    def is_mine(folder: str) -> bool:
        """Its folder keeps the first name of an account that was renamed; of those removed long ago it is all that is known."""
        return whose[folder] == address.key if folder in whose else plain.fullmatch(folder) is not None

    mine = sorted(folder for folder in gone if is_mine(folder) and wanted in (None, folder))
    if not mine:
        raise DirectoryProblem(f"no account {address.key} was removed here")
    if len(mine) > 1:
        raise DirectoryProblem(f"it was removed more than once; say which: --folder {' or '.join(mine)}")
    folder = mine[0]
    (record,) = add(connection, [(address, hashed, None)], created, {address.key: scram})
    connection.execute(update(account_table).where(account_table.c.address == address.key).values(folder=folder))
    connection.execute(delete(setting_table).where(setting_table.c.name.in_((f"gone:{folder}", f"gone-address:{folder}"))))
    return replace(record, folder=folder)


def _settings(connection: Connection, prefix: str) -> dict[str, str]:
    """Values by what follows the prefix in their names."""
    rows = connection.execute(
        select(setting_table.c.name, setting_table.c.value).where(setting_table.c.name.like(f"{prefix}%"))
    )
    return {row.name.removeprefix(prefix): row.value for row in rows}


def listing(connection: Connection) -> list[dict[str, Any]]:
    columns = [account_table.c[name] for name in ("address", "quota", "disabled", "folder", "created", "admin")]
    return [dict(row._mapping) for row in connection.execute(select(*columns).order_by(account_table.c.address))]


def change(connection: Connection, key: str, values: dict[str, Any]) -> int:
    """Who may not come in as before is not in any more: browsers are logged out in the same transaction."""
    if "password" in values or values.get("disabled"):
        sessions.end_all(connection, key)
    return connection.execute(update(account_table).where(account_table.c.address == key).values(**values)).rowcount


def improve_password(connection: Connection, key: str, old: str, better: str) -> None:
    where = (account_table.c.address == key, account_table.c.password == old)
    connection.execute(update(account_table).where(*where).values(password=better))


def set_scram(connection: Connection, key: str, hashed: str, scram: str) -> None:
    where = (account_table.c.address == key, account_table.c.password == hashed)
    connection.execute(update(account_table).where(*where).values(scram=scram))


def set_app_scram(connection: Connection, digest: str, scram: str) -> None:
    connection.execute(update(app_table).where(app_table.c.digest == digest).values(scram=scram))


def remove(connection: Connection, key: str) -> None:
    folder = connection.execute(select(account_table.c.folder).where(account_table.c.address == key)).scalar_one()
    connection.execute(delete(app_table).where(app_table.c.account == key))
    sessions.end_all(connection, key)
    second_factor.remove(connection, key)
    senders.forget(connection, key)
    certificates.forget(connection, key)
    logins.forget(connection, key)
    api_tokens.forget(connection, key)
    webhooks.forget(connection, key)
    setup_links.forget(connection, key)
    connection.execute(delete(account_table).where(account_table.c.address == key))
    # The mail stays on disk until the admin removes it; its folder is never given to a new account.
    # Who it was is kept, because a renamed account's folder does not tell.
    for name, value in ((f"gone:{folder}", folder), (f"gone-address:{folder}", key)):
        connection.execute(insert(setting_table).prefix_with("OR REPLACE").values(name=name, value=value))
