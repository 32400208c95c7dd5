"""user.show, user.limit, user.stop, user.release, user.send-as.*, domain.limit: what accounts may send."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_address, read_domain
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.delivery.stopping import Keeper
from mailstack.policy.sending import Sending
from mailstack.policy.signs import Sign
from mailstack.store.queue.queue import Queued
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.store.users.sending import Allowance

# What a command calls them, and what the table does.
LIMITS = {"messages_per_hour": "hour", "messages_per_day": "day", "new_recipients_per_day": "fresh", "recipients": "recipients"}


class SendingOperations:
    """`kick` has a message tried at once; None where no server runs."""

    def __init__(self, directory: Directory, sending: Sending, keeper: Keeper, kick: Callable[[Queued], None] | None) -> None:
        self._directory = directory
        self._sending = sending
        self._keeper = keeper
        self._kick = kick

    def table(self) -> dict[str, Operation]:
        return {
            "user.show": self.show,
            "user.limit": self.user_limit,
            "user.stop": self.stop,
            "user.release": self.release,
            "user.send-as.add": self.grant,
            "user.send-as.list": self.grants,
            "user.send-as.remove": self.revoke,
            "domain.limit": self.domain_limit,
        }

    async def _account(self, arguments: Arguments) -> AccountRecord:
        return await find_account(self._directory, arguments["address"])

    async def show(self, arguments: Arguments) -> Any:
        record = await self._account(arguments)
        stop = (await self._sending.state(record.address))[0].stop
        return {
            "address": record.address,
            "disabled": record.disabled,
            "quota": record.quota,
            "stopped": {"since": stop.since, "sign": stop.sign, "text": stop.text} if stop is not None else None,
            "send_as": sorted((await self._directory.entry(record.address)).send_as),
            "sending": await self._sent(record.address),
            "domain": await self._sent(f"@{record.domain}"),
        }

    async def _sent(self, subject: str) -> list[dict[str, Any]]:
        """What was sent, what may be, and whether that is an exception."""
        page, allowance, used = await self._sending.state(subject)
        rows = zip(LIMITS.items(), (*used, None), strict=True)
        return [
            {"what": name, "sent": count, "limit": getattr(allowance, field) or None,
             "exception": getattr(page.exception, field) is not None}
            for (name, field), count in rows
            if field != "recipients" or not subject.startswith("@")
        ]  # fmt: skip

    async def user_limit(self, arguments: Arguments) -> Any:
        return await self._limit((await self._account(arguments)).address, arguments)

    async def domain_limit(self, arguments: Arguments) -> Any:
        name = read_domain(arguments["domain"])
        if not await self._directory.is_local_domain(name):
            raise OperationProblem(f"there is no domain {name}")
        return await self._limit(f"@{name}", arguments)

    async def _limit(self, subject: str, arguments: Arguments) -> Any:
        """Each given limit is set; "default" takes an exception away, as `reset` does with all."""
        page, _, _ = await self._sending.state(subject)
        exception = Allowance() if arguments.get("reset") else page.exception
        for name, field in LIMITS.items():
            text = arguments.get(name)
            if text not in (None, ""):
                exception = replace(exception, **{field: _number(name, str(text))})
        if exception != page.exception:
            await self._sending.except_(subject, exception)
        return await self._sent(subject)

    async def stop(self, arguments: Arguments) -> Any:
        record = await self._account(arguments)
        reason = arguments.get("reason") or "the postmaster stopped it"
        if not reason.isprintable() or len(reason) > 200:
            raise OperationProblem("a reason has up to 200 printable characters")
        if await self._sending.stop(record.address, Sign.ADMIN, reason) is None:
            raise OperationProblem(f"{record.address} is stopped already")
        held = await self._keeper.hold(record.address, reason)
        return {"address": record.address, "held": held}

    async def release(self, arguments: Arguments) -> Any:
        record = await self._account(arguments)
        if not await self._sending.release(record.address):
            raise OperationProblem(f"{record.address} is not stopped")
        drop = bool(arguments.get("drop"))
        waiting = await self._keeper.let_go(record.address, drop=drop)
        if self._kick is not None:
            for queued in waiting:
                self._kick(queued)
        return {"address": record.address, "released": len(waiting), "dropped": drop}

    async def grant(self, arguments: Arguments) -> Any:
        await self._directory.grant_sender((await self._account(arguments)).address, _sender(arguments["sender"]))

    async def grants(self, arguments: Arguments) -> Any:
        record = await self._account(arguments)
        return [{"address": record.address, "sender": one} for one in await self._directory.granted_senders(record.address)]

    async def revoke(self, arguments: Arguments) -> Any:
        await self._directory.revoke_sender((await self._account(arguments)).address, _sender(arguments["sender"]))


def _number(name: str, text: str) -> int | None:
    if text == "default":
        return None
    if text == "none":
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise OperationProblem(f'{name}: {text!r} is not a number, "none" or "default"')
    return int(text)


def _sender(text: str) -> str:
    """An address, or all of a domain."""
    return "@" + read_domain(text[1:]) if text.startswith("@") else read_address(text).key
