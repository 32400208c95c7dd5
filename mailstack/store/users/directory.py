"""Who is here: look-ups behind a cache, and the changes that commands make."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.exc import IntegrityError

from mailstack.message.address import Address, parse_address
from mailstack.store.database import Database
from mailstack.store.mailbox.values import AccountFolder
from mailstack.store.users import (
    accounts,
    certificates,
    devices,
    installation,
    mailings,
    names,
    renaming,
    second_factor,
    senders,
)
from mailstack.store.users.devices import Device
from mailstack.store.users.mailings import Mailing
from mailstack.store.users.records import AccountRecord, DirectoryProblem, Entry
from mailstack.store.users.scope import ALL, Scope

__all__ = ["AccountRecord", "Directory", "DirectoryProblem", "Entry"]
ROLES = frozenset({"postmaster", "abuse"})  # RFC 5321 4.5.1, RFC 2142 4: answered by the postmaster, if by nobody else
CACHE_LIMIT = 50_000


class Directory:
    """On the event loop; the database's thread does the work."""

    def __init__(self, database: Database, mail: Path, index_dir: Path | None = None) -> None:
        self._database = database
        self._mail = mail
        self._index_dir = index_dir
        self._cache: dict[str, Entry] = {}
        self._paths: dict[str, tuple[Path, Path]] = {}  # of an account and its index, by its folder
        self._domains: frozenset[str] | None = None
        self.generation = 0
        self.message_quota: int | None = None  # of each account: how many messages it may hold
        self.scram_whole = False  # whether every password has what SCRAM needs
        self._revocations: dict[str, int] = {}
        self.on_revoked: list[Callable[[str], None]] = []
        self.on_locked: list[Callable[[str], None]] = []  # its own password became void: browsers are logged out
        self.on_domains: list[Callable[[], None]] = []  # there is one more, or one less
        self.on_bound: list[Callable[[str], None]] = []  # a client certificate, as PEM

    async def start(self) -> None:
        self.scram_whole = await self._database.run(accounts.scram_whole)

    def folder(self, record: AccountRecord) -> AccountFolder:
        paths = self._paths.get(record.folder)
        if paths is None:
            if len(self._paths) >= CACHE_LIMIT:
                self._paths.clear()
            path = self._mail / record.folder
            index = (self._index_dir / record.folder if self._index_dir else path) / "index.sqlite3"
            paths = self._paths[record.folder] = path, index
        return AccountFolder(*paths, record.quota, self.message_quota)

    # Look-ups -------------------------------------------------------------------------------------------------------

    async def domains(self) -> frozenset[str]:
        if self._domains is None:
            generation = self.generation
            found = frozenset(await self._database.run(names.all_domains))
            if generation == self.generation:
                self._domains = found
            return found
        return self._domains

    async def is_local_domain(self, domain: str) -> bool:
        return domain in await self.domains()

    async def entry(self, key: str) -> Entry:
        """What an exact key (address, or "@domain") is."""
        found = self._cache.get(key)
        if found is None:
            generation = self.generation
            found = await self._database.run(accounts.entry, key)
            if generation == self.generation:
                if len(self._cache) >= CACHE_LIMIT:
                    self._cache.clear()
                self._cache[key] = found
        return found

    async def account(self, login: str) -> AccountRecord | None:
        """The account of a login name, which is its address."""
        try:
            key = parse_address(login).key
        except ValueError:
            return None
        return (await self.entry(key)).account

    async def aliases_of(self, key: str) -> tuple[str, ...]:
        """The addresses that lead to an account at once, alone or among others; no catch-alls."""
        return await self._database.run(names.aliases_of, key)

    async def setting(self, name: str) -> str:
        """A secret of this installation, made when it is first asked for."""
        return await self._database.run(installation.setting, name, secrets.token_hex(16))

    async def app_password(self, digest: str) -> Device | None:
        return await self._database.run(devices.by_digest, digest)

    async def scram_keys(self, key: str) -> list[tuple[str, Device | None]]:
        """What SCRAM needs of all passwords of an account: its own (None), and those of its devices."""
        return await self._database.run(accounts.scram_keys, key)

    async def owns(self, account: AccountRecord, address: Address) -> bool:
        """Whether an account may send as an address: mail for it ends there and nowhere else (its own, its +tags, aliases, what
        the catch-all leaves to it), or it was granted.
        """
        candidate: str | None = address.key
        seen: set[str] = set()
        while candidate is not None and candidate not in seen:
            if candidate == account.address:
                return True
            seen.add(candidate)
            candidate = await self._leads_to(candidate)
        granted = (await self.entry(account.address)).send_as
        return bool(granted) and not granted.isdisjoint({address.key, _untagged(address.key), f"@{address.domain}"})

    async def _leads_to(self, key: str) -> str | None:
        """The one address that mail for another goes on to; None where it stays, or goes to several, or nowhere."""
        for candidate in dict.fromkeys((key, _untagged(key))):
            entry = await self.entry(candidate)
            if entry.account is not None:
                return candidate
            if entry.targets:
                return entry.targets[0] if len(entry.targets) == 1 else None
        local, _, domain = _untagged(key).rpartition("@")
        if local in ROLES:
            return None  # mail for these never comes to the catch-all
        targets = (await self.entry(f"@{domain}")).targets
        return targets[0] if len(targets) == 1 else None

    # Changes --------------------------------------------------------------------------------------------------------

    async def _change(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            done = await self._database.run(function, *arguments)
            self.scram_whole = await self._database.run(accounts.scram_whole)
            return done
        except IntegrityError as problem:
            raise DirectoryProblem(str(problem.orig)) from problem
        finally:
            self.generation += 1
            self._cache.clear()
            self._domains = None

    def revocations(self, key: str) -> int:
        """How often what was proved for an account became void: the same number twice means that it still holds."""
        return self._revocations.get(key, 0)

    def end_sessions(self, key: str) -> None:
        """Of an account, whose clients come back at once."""
        self._revoke(key)

    def _revoke(self, key: str) -> None:
        self._revocations[key] = self.revocations(key) + 1
        for callback in self.on_revoked:
            callback(key)

    def _lock(self, key: str) -> None:
        self._revoke(key)
        for callback in self.on_locked:
            callback(key)

    async def add_domain(self, name: str) -> None:
        """Raises DirectoryProblem where it is here, or its mail is passed on."""
        if name in await self.domains():
            raise DirectoryProblem(f"domain {name} is there already")
        await self._change(names.add_domain, name)
        self._tell_of_domains()

    async def remove_domain(self, name: str) -> None:
        if name not in await self.domains():
            raise DirectoryProblem(f"there is no domain {name}")
        await self._change(names.remove_domain, name)
        self._tell_of_domains()

    def _tell_of_domains(self) -> None:
        for callback in self.on_domains:
            callback()

    async def add_accounts(
        self, rows: list[tuple[Address, str, int | None]], created: float, scram: Mapping[str, str | None] | None = None
    ) -> list[AccountRecord]:
        """(address, password hash, quota), and by key what SCRAM needs where the password is known: all or none."""
        added = await self._change(accounts.add, rows, created, scram or {})
        return list(added)

    async def rename_account(self, key: str, new: Address, *, keep: bool) -> None:
        """Another address for the same account; `keep`: mail for the old one still comes. Sessions end."""
        await self._change(renaming.rename, key, new, keep)
        self._lock(key)

    async def take_back(
        self, address: Address, hashed: str, scram: str | None, created: float, folder: str | None = None
    ) -> AccountRecord:
        """An account that was removed, with its mail; `folder`: which, of several. Raises DirectoryProblem."""
        record: AccountRecord = await self._change(accounts.take_back, address, hashed, scram, created, folder)
        return record

    async def accounts(self) -> list[dict[str, Any]]:
        return await self._database.run(accounts.listing)

    async def set_password(self, key: str, hashed: str, scram: str | None = None) -> None:
        await self._update(key, {"password": hashed, "scram": scram})
        self._lock(key)

    async def improve_password(self, key: str, old: str, better: str) -> None:
        """Another hash of the same password, unless it was changed meanwhile."""
        await self._change(accounts.improve_password, key, old, better)

    async def set_scram(self, key: str, hashed: str, scram: str) -> None:
        """What SCRAM needs of a password that was seen, unless it was changed meanwhile."""
        await self._change(accounts.set_scram, key, hashed, scram)

    async def set_app_scram(self, digest: str, scram: str) -> None:
        await self._change(accounts.set_app_scram, digest, scram)

    async def set_disabled(self, key: str, disabled: bool) -> None:
        await self._update(key, {"disabled": disabled})
        if disabled:
            self._lock(key)

    async def set_quota(self, key: str, quota: int | None) -> None:
        await self._update(key, {"quota": quota})

    async def set_capabilities(self, key: str, capabilities: str) -> None:
        await self._update(key, {"capabilities": capabilities})

    async def set_admin(self, key: str, admin: bool) -> None:
        await self._update(key, {"admin": admin})

    async def prepare_second_factor(self, key: str, secret: str) -> None:
        if (await self.entry(key)).account is None:
            raise DirectoryProblem(f"there is no account {key}")
        if not await self._change(second_factor.prepare, key, secret):
            raise DirectoryProblem(f"{key} has one-time codes already")

    async def confirm_second_factor(self, key: str, code: str, now: float, recovery: list[str]) -> None:
        """From now on the password alone is not enough: what came in with it ends."""
        if not await self._change(second_factor.confirm, key, code, now, recovery):
            raise DirectoryProblem("that is not the code that is shown now; look at the clock of the telephone, and try again")
        self._revoke(key)

    async def renew_recovery(self, key: str, recovery: list[str]) -> None:
        record = (await self.entry(key)).account
        if record is None or not record.second_factor:
            raise DirectoryProblem(f"{key} has no one-time codes")
        await self._change(second_factor.renew_recovery, key, recovery)

    async def remove_second_factor(self, key: str) -> None:
        if not await self._change(second_factor.remove, key):
            raise DirectoryProblem(f"{key} has no one-time codes")

    async def _update(self, key: str, values: dict[str, Any]) -> None:
        if not await self._change(accounts.change, key, values):
            raise DirectoryProblem(f"there is no account {key}")

    async def remove_account(self, key: str) -> AccountRecord:
        record = (await self.entry(key)).account
        if record is None:
            raise DirectoryProblem(f"there is no account {key}")
        await self._change(accounts.remove, key)
        self._lock(key)
        return record

    async def add_alias(self, source: str, targets: list[str]) -> None:
        await self._change(names.add_alias, source, targets)

    async def remove_alias(self, source: str, target: str | None = None) -> None:
        if not await self._change(names.remove_alias, source, target):
            raise DirectoryProblem(f"there is no alias {source}" + (f" to {target}" if target else ""))

    async def set_mailing(self, mailing: Mailing) -> None:
        """Make a mailing list of an alias."""
        if not (await self.entry(mailing.address)).targets:
            raise DirectoryProblem(f"there is no alias {mailing.address}; add it first: mailstack alias add")
        await self._change(mailings.write, mailing, mailing.domain)

    async def unset_mailing(self, source: str) -> None:
        """A plain alias again."""
        if not await self._change(mailings.remove, source):
            raise DirectoryProblem(f"{source} is no mailing list")

    async def mailings(self) -> dict[str, Mailing]:
        return await self._database.run(mailings.read_all)

    async def aliases(self) -> list[dict[str, Any]]:
        return await self._database.run(names.list_aliases)

    async def certificate_accounts(self, fingerprint: str) -> list[str]:
        return await self._database.run(certificates.accounts, fingerprint)

    async def bound_certificates(self) -> list[str]:
        """All that are bound to any account, as PEM."""
        return await self._database.run(certificates.all_pems)

    async def certificates(self, key: str) -> list[dict[str, Any]]:
        if (await self.entry(key)).account is None:
            raise DirectoryProblem(f"there is no account {key}")
        return await self._database.run(certificates.listing, key)

    async def bind_certificate(self, key: str, label: str, fingerprint: str, pem: str, subject: str, created: float) -> None:
        if (await self.entry(key)).account is None:
            raise DirectoryProblem(f"there is no account {key}")
        if not await self._change(certificates.add, key, label, fingerprint, pem, subject, created):
            raise DirectoryProblem(f"{key} has this certificate, or one with the label {label!r}, already")
        for callback in self.on_bound:
            callback(pem)

    async def unbind_certificate(self, key: str, label: str) -> None:
        if not await self._change(certificates.remove, key, label):
            raise DirectoryProblem(f"{key} has no certificate {label!r}")
        self._revoke(key)

    async def grant_sender(self, key: str, address: str) -> None:
        """Let an account send as an address, or as all of a domain ("@domain")."""
        if (await self.entry(key)).account is None:
            raise DirectoryProblem(f"there is no account {key}")
        await self._change(senders.add, key, address)

    async def revoke_sender(self, key: str, address: str) -> None:
        if not await self._change(senders.remove, key, address):
            raise DirectoryProblem(f"{key} was not granted to send as {address}")

    async def granted_senders(self, key: str) -> list[str]:
        entry = await self.entry(key)
        if entry.account is None:
            raise DirectoryProblem(f"there is no account {key}")
        return sorted(entry.send_as)

    async def add_app_password(
        self,
        key: str,
        label: str,
        digest: str,
        created: float,
        scram: str | None = None,
        scope: Scope = ALL,
        expires: float | None = None,
    ) -> None:
        if (await self.entry(key)).account is None:
            raise DirectoryProblem(f"there is no account {key}")
        if not await self._change(devices.add, Device(digest, key, label, scope, expires, scram), created):
            raise DirectoryProblem(f"{key} has an app password {label!r} already")

    async def remove_app_password(self, key: str, label: str) -> None:
        if not await self._change(devices.remove, key, label):
            raise DirectoryProblem(f"{key} has no app password {label!r}")
        self._revoke(key)


def _untagged(key: str) -> str:
    """alice+tag@a.test as alice@a.test; what has no tag, or nothing before it, as it is."""
    local, _, domain = key.rpartition("@")
    base = local.partition("+")[0]
    return f"{base}@{domain}" if base else key
