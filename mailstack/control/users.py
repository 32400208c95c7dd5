"""domain.*, user.*, alias.*."""

from collections.abc import Callable
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_address, read_domain, read_password, read_quota
from mailstack.control.importing import Hop, import_accounts
from mailstack.control.operations import Operation
from mailstack.policy.sending import Sending
from mailstack.policy.sharing import Sharing
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.users.directory import Directory
from mailstack.store.users.passwords import hash_password, make_password
from mailstack.store.users.scram import Scram


class UserOperations:
    """`hop` runs what takes a processor's time in a thread, a few at once."""

    def __init__(
        self,
        directory: Directory,
        scram: Scram,
        mailboxes: Mailboxes,
        sharing: Sharing,
        sending: Sending,
        make_keys: Callable[[str], list[tuple[str, str]]],
        hop: Hop,
        clock: Callable[[], float],
    ) -> None:
        self._directory = directory
        self._scram = scram
        self._mailboxes = mailboxes
        self._sharing = sharing
        self._sending = sending
        self._make_keys = make_keys
        self._hop = hop
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {
            "domain.add": self.domain_add,
            "domain.list": self.domain_list,
            "domain.records": self.domain_records,
            "domain.remove": self.domain_remove,
            "user.add": self.user_add,
            "user.list": self.user_list,
            "user.passwd": self.user_passwd,
            "user.quota": self.user_quota,
            "user.disable": self.user_disable,
            "user.enable": self.user_enable,
            "user.rename": self.user_rename,
            "user.remove": self.user_remove,
            "user.undelete": self.user_undelete,
            "user.import": self.user_import,
            "alias.add": self.alias_add,
            "alias.list": self.alias_list,
            "alias.remove": self.alias_remove,
        }

    async def domain_add(self, arguments: Arguments) -> Any:
        """Adds it, and makes DKIM keys; the DNS records that publish them."""
        name = read_domain(arguments["domain"])
        await self._directory.add_domain(name)
        return {"domain": name, "dkim": await self._records(name)}

    async def domain_records(self, arguments: Arguments) -> Any:
        """The DKIM records of a domain that is here."""
        name = read_domain(arguments["domain"])
        if not await self._directory.is_local_domain(name):
            raise OperationProblem(f"there is no domain {name}")
        return {"domain": name, "dkim": await self._records(name)}

    async def _records(self, name: str) -> list[dict[str, str]]:
        return [{"name": key, "value": value} for key, value in await self._hop(self._make_keys, name)]

    async def domain_list(self, _: Arguments) -> Any:
        return [{"domain": name} for name in sorted(await self._directory.domains())]

    async def domain_remove(self, arguments: Arguments) -> Any:
        await self._directory.remove_domain(read_domain(arguments["domain"]))

    async def user_add(self, arguments: Arguments) -> Any:
        address = read_address(arguments["address"])
        password = read_password(arguments.get("password") or make_password())
        quota = read_quota(arguments.get("quota"))
        hashed = await self._hop(hash_password, password)
        scram = {address.key: await self._scram_keys(address.key, password)}
        added = await self._directory.add_accounts([(address, hashed, quota)], self._clock(), scram)
        await self._mailboxes.account(self._directory.folder(added[0]))
        return {"address": added[0].address, "password": None if arguments.get("password") else password}

    async def _scram_keys(self, key: str, password: str) -> str | None:
        made: str | None = await self._hop(self._scram.make, await self._scram.salt(key), password)
        return made

    async def user_import(self, arguments: Arguments) -> Any:
        return {"imported": await import_accounts(self._directory, self._scram, arguments["rows"], self._hop, self._clock)}

    async def user_list(self, _: Arguments) -> Any:
        return await self._directory.accounts()

    async def user_passwd(self, arguments: Arguments) -> Any:
        address = read_address(arguments["address"])
        password = read_password(arguments.get("password") or make_password())
        scram = await self._scram_keys(address.key, password)
        await self._directory.set_password(address.key, await self._hop(hash_password, password), scram)
        return {"address": address.key, "password": None if arguments.get("password") else password}

    async def user_quota(self, arguments: Arguments) -> Any:
        await self._directory.set_quota(read_address(arguments["address"]).key, read_quota(arguments.get("quota")))

    async def user_disable(self, arguments: Arguments) -> Any:
        await self._directory.set_disabled(read_address(arguments["address"]).key, True)

    async def user_enable(self, arguments: Arguments) -> Any:
        await self._directory.set_disabled(read_address(arguments["address"]).key, False)

    async def user_rename(self, arguments: Arguments) -> Any:
        """Another address, the same mail and passwords; the old address stays as an alias, unless `keep` is false."""
        old, new = read_address(arguments["address"]), read_address(arguments["to"])
        await self._sending.settled()
        await self._directory.rename_account(old.key, new, keep=bool(arguments.get("keep", True)))
        self._sending.renamed(old.key)
        return {"address": new.key}

    async def user_remove(self, arguments: Arguments) -> Any:
        record = await self._directory.remove_account(read_address(arguments["address"]).key)
        await self._sharing.forget(record)
        await self._sending.forget(record.address)
        await self._mailboxes.forget(self._directory.folder(record))
        folder = self._directory.folder(record)
        return {"folder": str(folder.path), "index": str(folder.index)}

    async def user_undelete(self, arguments: Arguments) -> Any:
        """An account that was removed is there again, with its mail and a new password."""
        address = read_address(arguments["address"])
        password = read_password(arguments.get("password") or make_password())
        scram = await self._scram_keys(address.key, password)
        hashed = await self._hop(hash_password, password)
        record = await self._directory.take_back(address, hashed, scram, self._clock(), arguments.get("folder") or None)
        account = await self._mailboxes.account(self._directory.folder(record))
        usage = await account.usage()
        made = None if arguments.get("password") else password
        return {"address": record.address, "password": made, "messages": usage.messages}

    def _source(self, text: str) -> str:
        return "@" + read_domain(text[1:]) if text.startswith("@") else read_address(text).key

    async def alias_add(self, arguments: Arguments) -> Any:
        targets = [await self._target(target) for target in arguments["targets"]]
        await self._directory.add_alias(self._source(arguments["address"]), targets)

    async def _target(self, text: str) -> str:
        """As the table keeps it: here by its key, elsewhere as it was written."""
        address = read_address(text)
        return address.key if await self._directory.is_local_domain(address.domain) else str(address)

    async def alias_list(self, _: Arguments) -> Any:
        return await self._directory.aliases()

    async def alias_remove(self, arguments: Arguments) -> Any:
        target = arguments.get("target")
        await self._directory.remove_alias(self._source(arguments["address"]), await self._target(target) if target else None)
