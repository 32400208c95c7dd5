"""user.admin, user.totp.*, user.session.*: who may do what in the console, and how one gets in there."""

from collections.abc import Callable
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.store.users.second_factor import Codes, make_recovery, make_secret, provisioning_uri
from mailstack.store.users.sessions import Sessions


class ConsoleOperations:
    def __init__(
        self, directory: Directory, sessions: Sessions, codes: Codes, hostname: str, clock: Callable[[], float]
    ) -> None:
        self._directory = directory
        self._sessions = sessions
        self._codes = codes
        self._hostname = hostname
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {
            "user.admin": self.admin,
            "user.totp.show": self.totp_show,
            "user.totp.begin": self.totp_begin,
            "user.totp.confirm": self.totp_confirm,
            "user.totp.recovery": self.totp_recovery,
            "user.totp.off": self.totp_off,
            "user.session.list": self.session_list,
            "user.session.end": self.session_end,
        }

    async def _account(self, arguments: Arguments) -> AccountRecord:
        return await find_account(self._directory, arguments["address"])

    async def admin(self, arguments: Arguments) -> Any:
        """`off`: not any more."""
        record = await self._account(arguments)
        await self._directory.set_admin(record.address, not arguments.get("off"))

    async def totp_show(self, arguments: Arguments) -> Any:
        """`on`; `since` is None without; how many recovery codes are left."""
        found = await self._codes.state((await self._account(arguments)).address)
        if found is None or found.since is None:
            return {"on": False, "since": None, "recovery_left": 0}
        return {"on": True, "since": found.since, "recovery_left": found.recovery_left}

    async def totp_begin(self, arguments: Arguments) -> Any:
        """A secret for the authenticator; it counts once a code of it was confirmed. The one before it is void."""
        record, secret = await self._account(arguments), make_secret()
        await self._directory.prepare_second_factor(record.address, secret)
        return {"secret": secret, "uri": provisioning_uri(secret, record.address, self._hostname)}

    async def totp_confirm(self, arguments: Arguments) -> Any:
        """Recovery codes: they are in the answer, and nowhere else ever."""
        record, recovery = await self._account(arguments), make_recovery()
        await self._directory.confirm_second_factor(record.address, str(arguments["code"]), self._clock(), recovery)
        return {"recovery": recovery}

    async def totp_recovery(self, arguments: Arguments) -> Any:
        """New recovery codes; the old ones are void."""
        recovery = make_recovery()
        await self._directory.renew_recovery((await self._account(arguments)).address, recovery)
        return {"recovery": recovery}

    async def totp_off(self, arguments: Arguments) -> Any:
        await self._directory.remove_second_factor((await self._account(arguments)).address)

    async def session_list(self, arguments: Arguments) -> Any:
        """The browsers that are logged in; `id` names one."""
        rows = await self._sessions.listing((await self._account(arguments)).address)
        return [
            {"id": one.digest, "created": one.created, "seen": one.seen, "peer": one.peer, "agent": one.agent} for one in rows
        ]

    async def session_end(self, arguments: Arguments) -> Any:
        """One of them by its `id`; without all, save the one that `but` names."""
        key = (await self._account(arguments)).address
        if not arguments.get("id"):
            return {"ended": await self._sessions.end_others(key, arguments.get("but"))}
        if not await self._sessions.end(key, str(arguments["id"])):
            raise OperationProblem("there is no such session any more")
        return {"ended": 1}
