"""A milter that says what a test wants it to say, and keeps what it was told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from mailstack.wire.milter import Actions, Body, Framer, Negotiate, Packet, Steps, Word, encode

SILENT_ANSWERS = (Word.ABORT, Word.QUIT)


@dataclass
class Milter:
    """`answers`: by the letter of what was said, all that is sent for it; else it wants to go on. None: it hangs up."""

    answers: Mapping[bytes, list[Packet] | None] = field(default_factory=dict)
    steps: Steps = Steps.NO_UNKNOWN
    version: int = 6
    told: list[Packet] = field(default_factory=list)
    offered: Negotiate | None = None
    octets: bool = False  # what it says, one at a time
    port: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    open: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer()
        self.open += 1
        self.ended.clear()
        try:
            # A server that has no use for it any more may reset the connection.
            while data := await reader.read(65536):
                framer.feed(data)
                while (packet := framer.next()) is not None:
                    if not await self._answer(packet, writer):
                        return
        except ConnectionError:
            return
        finally:
            writer.close()
            self.open -= 1
            if not self.open:
                self.ended.set()

    async def _answer(self, packet: Packet, writer: asyncio.StreamWriter) -> bool:
        letter = encode(packet)[4:5]
        if isinstance(packet, Negotiate):
            self.offered = packet
            usual: list[Packet] = [Negotiate(self.version, Actions(0x1FF), self.steps, b"\0\0\0\1i\0")]
        else:
            self.told.append(packet)
            usual = [] if letter == b"D" or packet in SILENT_ANSWERS else [Word.CONTINUE]
            if isinstance(packet, Body) and Steps.SILENT_BODY in self.steps:
                usual = []
        answers = self.answers.get(letter, usual)
        if answers is None:
            return False
        data = b"".join(encode(answer) for answer in answers)
        for piece in (bytes([octet]) for octet in data) if self.octets else (data,):
            writer.write(piece)
            if self.octets:
                await asyncio.sleep(0)
        return True


@contextlib.asynccontextmanager
async def running(milter: Milter) -> AsyncIterator[Milter]:
    server = await asyncio.start_server(milter.serve, "127.0.0.1", 0)
    milter.port = server.sockets[0].getsockname()[1]
    try:
        milter.ended.set()  # nobody came yet
        yield milter
        # What was said last is heard, too.
        await milter.ended.wait()
    finally:
        server.close()
