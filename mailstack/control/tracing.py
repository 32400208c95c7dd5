"""trace.*: what became of messages, as events, as a paragraph, and by receiver."""

import dataclasses
import re
import time
from collections.abc import Callable
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_address
from mailstack.control.operations import Operation
from mailstack.control.story import Event, concerns, moment, summary, tell
from mailstack.store.queue.queue import Queue
from mailstack.store.trace import Trace

LISTED = 20  # candidates that are shown
RECEIVERS = 1000  # domains
SENT = 1000  # messages of one account that are looked through
_ID = re.compile(r"[0-9a-z]{16}")
_UNTRIED: dict[str, Any] = {"state": "accepted", "host": None, "tls": None, "reply": None, "attempts": 0}
_OUTGOING = ("delivered", "deferred", "failed", "queued", "dropped")


class TraceOperations:
    """What the trace knows, and what the queue is going to do next."""

    def __init__(self, trace: Trace, queue: Queue, clock: Callable[[], float] = time.time) -> None:
        self._trace = trace
        self._queue = queue
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {"trace": self.trace, "trace.why": self.why, "trace.sent": self.sent, "trace.receivers": self.receivers}

    async def trace(self, arguments: Arguments) -> Any:
        return await self._trace.find(arguments["text"])

    async def why(self, arguments: Arguments) -> Any:
        """{"stories": [...]} with id, text and events; or {"candidates": [...]} where the words fit several messages."""
        user, words = arguments["user"].strip(), (arguments.get("words") or "").strip()
        if "@" not in user or user.startswith("<"):
            user, words = "", user
        address = str(read_address(user)).lower() if user else ""
        ids = [words] if _ID.fullmatch(words) else await self._ids(address, words)
        if arguments.get("last"):
            ids = ids[:1]
        stories = [events for id in ids[: LISTED + 1] if (events := await self._trace.story(id))]
        if len(stories) == 1:
            return {"stories": [self._told(stories[0], address)]}
        found = [dataclasses.asdict(one) for events in stories if (one := summary(events)) is not None]
        return {"candidates": found[:LISTED], "more": len(stories) > LISTED}

    async def _ids(self, address: str, words: str) -> list[str]:
        if not address:
            return sorted({event["id"] for event in await self._trace.find(words)}, reverse=True)
        if words.startswith("<") and words.endswith(">"):
            return sorted({event["id"] for event in await self._trace.find(words)}, reverse=True)
        return await self._trace.candidates(address, words)

    def _told(self, events: list[Event], address: str) -> dict[str, Any]:
        own = concerns(events, address) if address else events
        start = summary(events)
        assert start is not None
        return {**dataclasses.asdict(start), "text": tell(own, self._waiting(own)), "events": own}

    def _waiting(self, events: list[Event]) -> dict[str, str]:
        """What the queue is going to do, as a sentence by id."""
        found = {}
        for id in {event["id"] for event in events}:
            queued = self._queue.messages.get(id)
            if queued is None:
                continue
            if queued.stopped:
                account = queued.envelope.account
                found[id] = f"It is held back, because {account} may send nothing now: mailstack user release {account}."
            elif queued.held:
                found[id] = f"It is held back in the queue: mailstack queue release {id} lets it go."
            elif queued.busy:
                found[id] = "An attempt is being made now."
            elif queued.next_attempt <= self._clock():
                found[id] = "The next attempt is due now."
            else:
                found[id] = f"The next attempt is due at {moment(queued.next_attempt)}."
        return found

    async def sent(self, arguments: Arguments) -> Any:
        """A row for each receiver of each message that an account sent, the newest message first."""
        address = str(read_address(arguments["user"])).lower()
        since = self._since(arguments)
        rows: list[dict[str, Any]] = []
        for id in await self._trace.candidates(address, "", SENT, sent=True):
            events = await self._trace.story(id)
            start = summary(events)
            if start is None or address not in _senders(events):
                continue
            if start.time < since:
                break
            rows += _receivers(events, start.subject)
        return rows

    async def receivers(self, arguments: Arguments) -> Any:
        """A row for each domain of others that was written to: delivered, deferred, refused, the last word, when."""
        return await self._trace.receivers(self._since(arguments), RECEIVERS)

    def _since(self, arguments: Arguments) -> float:
        days = float(arguments.get("days") or 7)
        if not 0 < days <= 30:
            raise OperationProblem("the trace is kept for 30 days: --days takes 1 to 30")
        return self._clock() - days * 86400


def _senders(events: list[Event]) -> set[str]:
    return {
        str(event.get(key)).lower()
        for event in events
        if event["event"] in ("arrived", "accepted", "refused")
        for key in ("account", "sender")
    }


def _receivers(events: list[Event], subject: str | None) -> list[dict[str, Any]]:
    """What was said last for each receiver, by whom, over which TLS, and after how many attempts."""
    rows: dict[str, dict[str, Any]] = {}
    for event in events:
        name = event["event"]
        to = event.get("to") or []
        receivers = [to] if isinstance(to, str) else to
        if name == "refused":
            receivers = receivers or next((one["to"] for one in events if one["event"] == "arrived"), [])
        elif name not in ("arrived", "accepted", *_OUTGOING):
            continue
        for one in receivers:
            row = rows.setdefault(one, {**_UNTRIED, "id": event["id"], "time": event["time"], "to": one, "subject": subject})
            if name in ("arrived", "accepted"):
                continue
            row["state"] = name
            row["attempts"] += name in ("delivered", "deferred", "failed") and bool(event.get("reply"))
            for key in ("host", "tls", "reply"):
                row[key] = event.get(key) or (row[key] if name == "queued" else None)
    if events and events[-1]["event"] == "dropped":
        for row in rows.values():
            if row["state"] in ("queued", "deferred"):
                row["state"] = "dropped"
    return list(rows.values())
