"""Hooks: programs elsewhere are told what became of messages, signed as the Standard Webhooks say, until they answer 2xx.

What happened is written down within a second or so, and told at least once after that, over a restart too.
"""

import asyncio
import base64
import datetime
import hmac
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from mailstack.log import get_logger
from mailstack.net.http import Asking, HttpProblem, ask
from mailstack.store.errors import StoreProblem
from mailstack.store.tasks import ended
from mailstack.store.trace import Trace
from mailstack.store.users.webhooks import Due, Hook, WebhookTable

log = get_logger()
RECEIVED, DELIVERED, DEFERRED, BOUNCED = "message.received", "message.delivered", "message.deferred", "message.bounced"
ALARM, TEST = "server.alarm", "test"
EVENTS = (RECEIVED, DELIVERED, DEFERRED, BOUNCED, ALARM)
GATHER_SECONDS = 0.5
LOOK_SECONDS = 5.0
RETRY = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)  # seconds; then the last, until
EXPIRE = 86400.0
AT_ONCE, HOOKS_AT_ONCE = 100, 4
WAITING = 20_000  # events in memory; more are not kept: the disk has failed for a long time
SECRET_PREFIX = "whsec_"  # noqa: S105 - what stands before each


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the trace that hooks may want to hear of."""

    moment: float
    kind: str
    id: str
    fields: dict[str, Any]


def make_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def sign(secret: str, id: str, moment: int, body: str) -> str:
    """The value of webhook-signature."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    return "v1," + base64.b64encode(hmac.digest(key, f"{id}.{moment}.{body}".encode(), "sha256")).decode()


class Webhooks:
    """start(), then stop(). `context` is for TLS to the hooks' hosts."""

    def __init__(self, table: WebhookTable, trace: Trace, context: ssl.SSLContext, clock: Callable[[], float]) -> None:
        self._table = table
        self._trace = trace
        self._context = context
        self._clock = clock
        self._hooks: list[Hook] = []
        self._happened: list[Happened] = []
        self._wakeup = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._gather: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.renew()
        self._tasks = [asyncio.get_running_loop().create_task(self._run())]
        self._trace.on_event.append(self._on_event)

    async def stop(self) -> None:
        if self._gather is not None:
            await asyncio.wait([self._gather], timeout=2.0)
        for task in (*self._tasks, self._gather):
            await ended(task)

    async def renew(self) -> None:
        """The hooks were changed."""
        self._hooks = await self._table.hooks()
        self._wakeup.set()

    # What happens ---------------------------------------------------------------------------------------------------

    def _on_event(self, id: str, name: str, fields: dict[str, Any]) -> None:
        if not self._hooks:
            return
        kind = {"failed": BOUNCED, "deferred": DEFERRED, "delivered": DELIVERED if fields.get("host") else RECEIVED}.get(name)
        if kind is not None and any(kind in hook.events for hook in self._hooks):
            self._put(Happened(self._clock(), kind, id, fields))

    def alarm(self, subject: str, text: str) -> None:
        """What the postmaster is told."""
        if any(ALARM in hook.events for hook in self._hooks):
            self._put(Happened(self._clock(), ALARM, "", {"subject": subject, "text": text}))

    async def test(self, hook: Hook) -> str | None:
        """Tell one hook of nothing; why it did not take it, or None."""
        due = Due(_new_id(), hook.id, _body(TEST, self._clock(), {"hook": hook.id}), self._clock())
        return await self._post(hook, due)

    def _put(self, happened: Happened) -> None:
        if len(self._happened) < WAITING:
            self._happened.append(happened)
        if self._gather is None or self._gather.done():
            self._gather = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._happened:
            await asyncio.sleep(GATHER_SECONDS)
            happened, self._happened = self._happened, []
            dues = [due for one in happened for due in await self._dues(one)]
            if not dues:
                continue
            try:
                await self._table.put(dues)
            except StoreProblem as problem:
                log.error("webhook.not_written", events=len(dues), problem=problem.detail)
            self._wakeup.set()

    async def _dues(self, happened: Happened) -> list[Due]:
        if happened.kind == ALARM:
            account, data = None, happened.fields
        else:
            account, data = await self._about(happened)
        body = _body(happened.kind, happened.moment, data)
        return [
            Due(_new_id(), hook.id, body, happened.moment)
            for hook in self._hooks
            if happened.kind in hook.events and hook.account in (None, account)
        ]

    async def _about(self, happened: Happened) -> tuple[str | None, dict[str, Any]]:
        """Whose event it is, and what is known of the message."""
        known: dict[str, Any] = {}
        for event in await self._trace.find(happened.id):
            if event["event"] in ("arrived", "accepted"):
                known = {**event, **known}
        fields = happened.fields
        account = fields.get("to") if happened.kind == RECEIVED else known.get("account")
        data = {
            "id": happened.id,
            "account": account,
            "message_id": known.get("message_id"),
            "from": known.get("sender"),
            "to": fields.get("to"),
            "subject": known.get("subject"),
            **{name: fields[name] for name in ("mailbox", "host", "reply", "tls") if fields.get(name)},
        }
        return account, data

    # Telling --------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            self._wakeup.clear()
            try:
                while await self._tell_due():
                    pass
            except StoreProblem as problem:
                log.error("webhook.not_read", problem=problem.detail)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wakeup.wait()
            except TimeoutError:
                continue

    async def _tell_due(self) -> bool:
        """Whether there was something to tell."""
        if not self._hooks:
            return False
        dues = await self._table.due(self._clock(), AT_ONCE)
        turns = asyncio.Semaphore(HOOKS_AT_ONCE)
        hooks = {hook.id: hook for hook in self._hooks}

        async def tell(hook: Hook, mine: list[Due]) -> None:
            async with turns:
                await self._tell(hook, mine)

        groups = {id: [due for due in dues if due.hook == id] for id in dict.fromkeys(due.hook for due in dues)}
        await asyncio.gather(*(tell(hooks[id], mine) for id, mine in groups.items() if id in hooks))
        return bool(dues)

    async def _tell(self, hook: Hook, dues: list[Due]) -> None:
        """In order; the first that is not taken puts off those that follow."""
        done: list[str] = []
        problem: str | None = None
        for due in dues:
            if problem is None:
                problem = await self._post(hook, due)
                if problem is None:
                    done.append(due.id)
                    continue
                log.warning("webhook.failed", hook=hook.id, host=_host(hook), problem=problem, attempts=due.attempts + 1)
            now = self._clock()
            if now - due.created > EXPIRE:
                log.error("webhook.given_up", hook=hook.id, host=_host(hook), event_id=due.id, problem=problem)
                done.append(due.id)
                continue
            await self._table.again(due.id, now + RETRY[min(due.attempts, len(RETRY) - 1)], problem)
        if done:
            await self._table.done(done)

    async def _post(self, hook: Hook, due: Due) -> str | None:
        moment = int(self._clock())
        headers = (
            ("webhook-id", due.id),
            ("webhook-timestamp", str(moment)),
            ("webhook-signature", sign(hook.secret, due.id, moment, due.body)),
        )
        asking = Asking(headers=headers, accept="*/*", limit=65536, octets=due.body.encode(), media_type="application/json")
        try:
            answer = await ask(hook.url, self._context, asking)
        except HttpProblem as problem:
            return str(problem)
        return None if 200 <= answer.status < 300 else f"HTTP {answer.status}"


def _host(hook: Hook) -> str:
    """For the log: the path of such an URL is often all that keeps others from using it."""
    return urlsplit(hook.url).hostname or ""


def _new_id() -> str:
    return f"msg_{secrets.token_urlsafe(18)}"


def _body(kind: str, moment: float, data: dict[str, Any]) -> str:
    when = datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps({"type": kind, "timestamp": when, "data": data}).decode()
