"""Small fast clients for the benchmarks: the same for every server, with nothing but what is measured."""

import asyncio
import base64
import socket
import ssl
import time
from dataclasses import dataclass

from bench.peers import DOMAIN, PASSWORD, Server


class Imap:
    """A blocking IMAP connection that counts octets and waits for the tagged line."""

    def __init__(self, port: int, *, tls: bool = False) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.number = 0
        self.last = b""
        self.octets = 0
        self.greeting = self.until(b"\r\n")

    def until(self, needle: bytes) -> bytes:
        data = bytearray()
        while needle not in data[-4096:]:
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise EOFError(bytes(data[-200:]))
            data += piece
        return bytes(data)

    def command(self, line: bytes, *, keep: bool = False) -> bytes:
        """Send a command, read to its tagged answer. Returns the answer's last line, or everything with `keep`."""
        self.number += 1
        tag = b"x%d" % self.number
        self.socket.sendall(tag + b" " + line + b"\r\n")
        return self.answer(tag, keep=keep)

    def answer(self, tag: bytes, *, keep: bool = False) -> bytes:
        mark = b"\r\n" + tag + b" "
        kept: list[bytes] = []
        tail = b"\r\n"
        octets = 0
        while True:
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise EOFError(tail)
            octets += len(piece)
            if keep:
                kept.append(piece)
            tail = (tail + piece)[-4096:] if len(piece) < 4096 else tail[-40:] + piece[-4096:]
            found = tail.rfind(mark)
            if found >= 0 and tail.endswith(b"\r\n"):
                last = tail[found + 2 :]
                self.octets = octets
                if b" OK" not in last[: len(tag) + 4]:
                    raise RuntimeError(last.decode())
                return b"".join(kept) if keep else last

    def login(self, user: str) -> None:
        self.command(b'LOGIN %s@%s "%s"' % (user.encode(), DOMAIN.encode(), PASSWORD.encode()))

    def append(self, mailbox: bytes, data: bytes) -> None:
        self.number += 1
        tag = b"x%d" % self.number
        self.socket.sendall(b"%b APPEND %b {%d+}\r\n%b\r\n" % (tag, mailbox, len(data), data))
        self.answer(tag)

    def append_all(self, mailbox: bytes, mails: list[bytes]) -> None:
        """One MULTIAPPEND, in one piece."""
        self.number += 1
        tag = b"x%d" % self.number
        self.socket.sendall(
            tag + b" APPEND " + mailbox + b"".join([b" {%d+}\r\n%b" % (len(one), one) for one in mails]) + b"\r\n"
        )
        self.answer(tag)

    def close(self) -> None:
        self.socket.close()


@dataclass
class SmtpSender(asyncio.Protocol):
    """Sends messages one after another on one connection: MAIL, RCPT and DATA in one packet, as MTAs with PIPELINING do."""

    messages: list[tuple[str, str, bytes]]
    login: str | None
    done: asyncio.Future[None]
    per_message: list[float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""
        self.expected = "banner"
        self.index = 0
        self.replies = 0

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            line, found, rest = self.buffer.partition(b"\r\n")
            if not found:
                return
            self.buffer = rest
            if line[3:4] == b"-":
                continue
            self.reply(line)

    def fail(self, line: bytes) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(f"{self.expected}: {line.decode()}"))
        self.transport.close()

    def reply(self, line: bytes) -> None:
        code = line[:3]
        if self.expected == "banner":
            self.transport.write(b"EHLO client.test\r\n")
            self.expected = "ehlo"
        elif self.expected == "ehlo" and self.login:
            token = base64.b64encode(f"\0{self.login}\0{PASSWORD}".encode())
            self.transport.write(b"AUTH PLAIN " + token + b"\r\n")
            self.expected = "auth"
        elif self.expected in ("ehlo", "auth"):
            if code not in (b"250", b"235"):
                self.fail(line)
                return
            self.next()
        elif self.expected == "envelope":
            self.replies += 1
            if code not in (b"250", b"354"):
                self.fail(line)
            elif self.replies == 3:
                self.transport.write(self.messages[self.index][2] + b".\r\n")
                self.expected = "final"
        elif self.expected == "final":
            if code != b"250":
                self.fail(line)
                return
            if self.per_message is not None:
                self.per_message.append(time.perf_counter())
            self.index += 1
            self.next()
        elif self.expected == "quit":
            self.transport.close()

    def next(self) -> None:
        if self.index == len(self.messages):
            self.transport.write(b"QUIT\r\n")
            self.expected = "quit"
            if not self.done.done():
                self.done.set_result(None)
            return
        sender, recipient, _ = self.messages[self.index]
        self.transport.write(f"MAIL FROM:<{sender}>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n".encode())
        self.expected = "envelope"
        self.replies = 0

    def connection_lost(self, problem: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(str(problem)))


async def send_all(port: int, connections: int, messages: list[tuple[str, str, bytes]], login: str | None = None) -> None:
    """Share the messages among so many connections, and return when each got its 250."""
    loop = asyncio.get_running_loop()
    waits = []
    for number in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        share = messages[number::connections]
        await loop.create_connection(lambda share=share, done=done: SmtpSender(share, login, done), "127.0.0.1", port)
        waits.append(done)
    await asyncio.gather(*waits)


def messages_in(server: Server, users: list[str]) -> int:
    total = 0
    for user in users:
        connection = Imap(server.imap)
        connection.login(user)
        answer = connection.command(b"STATUS INBOX (MESSAGES)", keep=True)
        total += int(answer.partition(b"MESSAGES ")[2].partition(b")")[0])
        connection.close()
    return total
