"""The form in which a message leaves: as the host can take it, signed or sealed last, and judged as its receiver will."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from mailstack.delivery.alignment import Alignment
from mailstack.delivery.signing import Signer
from mailstack.log import get_logger
from mailstack.message.downgrade import to_7bit
from mailstack.message.header import addresses, first
from mailstack.policy.alignment import Unaligned
from mailstack.store.queue.queue import Queue, Queued
from mailstack.store.trace import Trace
from mailstack.wire.smtp import Reply

log = get_logger()
REASONS = 1000  # of warnings that are given once
Work = Callable[[Iterable[bytes], str, int], bytes]
AT_ONCE = 1 << 20  # octets of a message that is worked on in memory


@dataclass(frozen=True, slots=True)
class Formed:
    """A message as it leaves: octets in all, and the blocks of them."""

    size: int
    blocks: AsyncIterator[bytes]
    eight_bit: bool


class Outgoing:
    """One for the server. `defers`: a message of ours that will fail its own DMARC waits until that is mended."""

    def __init__(
        self,
        queue: Queue,
        signer: Signer,
        alignment: Alignment,
        trace: Trace,
        hostname: str,
        clock: Callable[[], float],
        *,
        defers: bool = False,
    ) -> None:
        self._queue = queue
        self._signer = signer
        self._alignment = alignment
        self._trace = trace
        self._hostname = hostname
        self._clock = clock
        self.defers = defers
        self._told: set[str] = set()  # reasons that were warned of
        self._judging: set[asyncio.Task[None]] = set()

    async def judge(self, queued: Queued, header: bytes) -> Reply | None:
        """Why a message waits, None when it may leave. What will fail is told of in any case."""
        signing = await self._signing_domain(queued, header)
        if not self.defers:
            # Nothing hangs on it: a slow DNS must not keep the message.
            task = asyncio.get_running_loop().create_task(self._judge_and_tell(queued, header, signing))
            self._judging.add(task)
            task.add_done_callback(self._judging.discard)
            return None
        found = await self._alignment.judge(queued.envelope, header, signing)
        if found is None:
            return None
        defers = found.obeyed
        self._tell(queued, found, waits=defers)
        # RFC 7372 3.1: no signature that matches the author.
        return Reply(451, "4.7.22", found.reason) if defers else None

    async def _judge_and_tell(self, queued: Queued, header: bytes, signing: str | None) -> None:
        found = await self._alignment.judge(queued.envelope, header, signing)
        if found is not None:
            self._tell(queued, found, waits=False)

    async def stop(self) -> None:
        """Judge no more."""
        for task in self._judging:
            task.cancel()
        await asyncio.gather(*self._judging, return_exceptions=True)

    def _tell(self, queued: Queued, found: Unaligned, *, waits: bool) -> None:
        self._trace.record(queued.id, "unaligned", reason=found.reason, waits=waits)
        say = log.info if found.reason in self._told else log.warning
        say("message.unaligned", id=queued.id, reason=found.reason, waits=waits)
        if len(self._told) < REASONS:
            self._told.add(found.reason)

    def tell_worse(self, queued: Queued, host: str, text: str) -> None:
        """The connection is not as safe as those before."""
        self._trace.record(queued.id, "downgrade", host=host, reason=text)

    async def form(self, queued: Queued, header: bytes, *, takes_8bit: bool) -> Formed:
        """Signed with what its receiver gets: after whatever had to be changed for a host without 8BITMIME."""
        if queued.size <= AT_ONCE or not takes_8bit:
            data = await self._queue.read(queued)
            if not takes_8bit and not data.isascii():
                data = await asyncio.get_running_loop().run_in_executor(None, to_7bit, data)
            fields = await self._fields(queued, header, (data,))
            return Formed(len(fields) + len(data), _pieces(fields + data), not data.isascii())
        fields = await self._fields(queued, header, None)
        return Formed(len(fields) + queued.size, self._blocks(queued, fields), True)

    async def _fields(self, queued: Queued, header: bytes, blocks: Iterable[bytes] | None) -> bytes:
        """The signatures or the seal of a message; `blocks`: None reads it from its file."""
        moment = int(self._clock())
        if queued.envelope.forwarded:
            work: Work = self._signer.seals
            domain = await self._sealing_domain(queued)
        else:
            work, domain = self._signer.signatures, await self._signing_domain(queued, header)
        vouching = queued.envelope.signed_as
        if vouching is not None and queued.envelope.forwarded:
            work = partial(self._signer.vouched, vouching=await self._signer.domain_for(vouching))
        if domain is None:
            return b""
        chunks = blocks if blocks is not None else self._queue.chunks(queued)
        return await asyncio.get_running_loop().run_in_executor(None, work, chunks, domain, moment)

    async def _signing_domain(self, queued: Queued, header: bytes) -> str | None:
        """In whose name what was written here is signed: that of From, so that DMARC finds the two aligned."""
        envelope = queued.envelope
        if envelope.account is None and not envelope.own:
            return None
        found = [one.address for one in addresses(first(header, b"from") or b"")]
        for address in (*found, envelope.sender):
            if address is not None and (domain := await self._signer.domain_for(address.domain)) is not None:
                return domain
        return None

    async def _sealing_domain(self, queued: Queued) -> str | None:
        """In whose name it goes on: the envelope's sender is ours then, but for notices, which have none."""
        sender = queued.envelope.sender
        for name in (*((sender.domain,) if sender is not None else ()), self._hostname):
            if (domain := await self._signer.domain_for(name)) is not None:
                return domain
        return None

    async def _blocks(self, queued: Queued, prefix: bytes) -> AsyncIterator[bytes]:
        if prefix:
            yield prefix
        chunks = self._queue.chunks(queued)
        while block := await self._queue.next_block(chunks):
            yield block


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 262144):
        yield data[start : start + 262144]
