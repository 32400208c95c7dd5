"""queue.*"""

import asyncio
from collections.abc import Callable
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.operations import Operation
from mailstack.store.queue.queue import Queue, Queued
from mailstack.store.trace import Trace

ROWS_AT_ONCE = 500  # built between two looks at the event loop


class QueueOperations:
    """`kick` has a message tried at once; None where no server runs."""

    def __init__(self, queue: Queue, trace: Trace, kick: Callable[[Queued], None] | None) -> None:
        self._queue = queue
        self._trace = trace
        self._kick = kick

    def table(self) -> dict[str, Operation]:
        return {
            "queue.list": self.list_,
            "queue.show": self.show,
            "queue.retry": self.retry,
            "queue.hold": self.hold,
            "queue.release": self.release,
            "queue.drop": self.drop,
        }

    def _find(self, arguments: Arguments) -> Queued:
        queued = self._queue.messages.get(arguments["id"])
        if queued is None:
            raise OperationProblem(f"there is no message {arguments['id']} in the queue")
        return queued

    def _row(self, queued: Queued) -> dict[str, Any]:
        envelope = queued.envelope
        return {
            "id": queued.id,
            "sender": str(envelope.sender) if envelope.sender else "<>",
            "size": queued.size,
            "received": envelope.received,
            "attempts": queued.attempts,
            "next_attempt": queued.next_attempt,
            "held": queued.held,
            "recipients": [
                {"address": str(recipient.address), "done": state.done, "reply": state.reply}
                for recipient, state in zip(envelope.recipients, queued.states, strict=True)
            ],
        }

    async def list_(self, _: Arguments) -> Any:
        rows = []
        for number, id in enumerate(sorted(self._queue.messages), 1):
            queued = self._queue.messages.get(id)
            if queued is not None:
                rows.append(self._row(queued))
            if number % ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return rows

    async def show(self, arguments: Arguments) -> Any:
        queued = self._find(arguments)
        header = await self._queue.read_header(queued)
        return {**self._row(queued), "header": header.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")}

    async def retry(self, arguments: Arguments) -> Any:
        if arguments.get("id"):
            chosen = [self._find(arguments)]
            if chosen[0].held:
                raise OperationProblem(f"{chosen[0].id} is held; let it go: mailstack queue release {chosen[0].id}")
        else:
            chosen = [queued for queued in self._queue.messages.values() if not queued.held]
        for queued in chosen:
            queued.next_attempt = 0.0
            if self._kick is not None:
                self._kick(queued)
            else:
                await self._queue.save(queued)
        return {"retried": len(chosen)}

    async def hold(self, arguments: Arguments) -> Any:
        queued = self._find(arguments)
        queued.held = True
        self._trace.record(queued.id, "held")
        await self._queue.save(queued)

    def _restored(self) -> list[Queued]:
        return [queued for queued in self._queue.messages.values() if queued.restored and queued.held]

    async def release(self, arguments: Arguments) -> Any:
        """One, or with `restored` all that came out of a backup."""
        if not arguments.get("restored"):
            await self._release(self._find(arguments))
            return None
        chosen = self._restored()
        for queued in chosen:
            await self._release(queued)
        return {"released": len(chosen)}

    async def _release(self, queued: Queued) -> None:
        queued.held = queued.stopped = queued.restored = False
        self._trace.record(queued.id, "released")
        queued.next_attempt = 0.0
        await self._queue.save(queued)
        if self._kick is not None:
            self._kick(queued)

    async def drop(self, arguments: Arguments) -> Any:
        """One, or with `restored` all that came out of a backup."""
        if not arguments.get("restored"):
            await self._drop(self._find(arguments))
            return None
        chosen = self._restored()
        for queued in chosen:
            await self._drop(queued)
        return {"dropped": len(chosen)}

    async def _drop(self, queued: Queued) -> None:
        if queued.busy:
            raise OperationProblem(f"{queued.id} is being delivered now; try again in a moment")
        self._trace.record(queued.id, "dropped")
        await self._queue.finish(queued)
