"""A receiving host in a thread that remembers the Subject of every message it answered with 250."""

import asyncio
import re
import threading


class CountingSink:
    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self.copies: dict[str, int] = {}
        self.port = 0
        self.hello = b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 100000000\r\n"
        self.reply = b"250 2.0.0 Ok\r\n"
        self.changed = threading.Condition()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> "CountingSink":
        self.thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self.serve, "127.0.0.1", 0), self.loop).result(10)
        self.port = server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _end(self) -> None:
        """Connections that are still open end with their tasks."""
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wait_for(self, tokens: set[str], seconds: float) -> set[str]:
        """All tokens that arrived, when these have or the time is over."""
        with self.changed:
            self.changed.wait_for(lambda: tokens <= self.tokens, seconds)
            return set(self.tokens)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink.test ESMTP\r\n")
        try:
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    writer.write(self.hello)
                elif verb == b"AUTH":
                    writer.write(b"235 2.7.0 Ok\r\n")
                elif verb == b"DATA":
                    writer.write(b"354 go on\r\n")
                    await writer.drain()
                    data = await reader.readuntil(b"\r\n.\r\n")
                    await asyncio.to_thread(self.take, data)
                    writer.write(self.reply)
                elif verb == b"QUIT":
                    writer.write(b"221 2.0.0 Bye\r\n")
                    break
                else:
                    writer.write(b"250 2.0.0 Ok\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def take(self, data: bytes) -> None:
        found = re.search(rb"^Subject: (\S+)", data, re.MULTILINE)
        token = found[1].decode() if found else ""
        with self.changed:
            self.tokens.add(token)
            self.copies[token] = self.copies.get(token, 0) + 1
            self.changed.notify_all()
