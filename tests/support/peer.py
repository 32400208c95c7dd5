"""A receiving host on loopback that says what a test wants, at whatever step: real bytes, real TLS, real resets."""

import asyncio
import base64
import enum
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


class Act(enum.Enum):
    """What may come instead of a reply."""

    HANG = "hang"  # says nothing more
    RESET = "reset"
    CLOSE = "close"


Answer = str | Act
EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10000000", "DSN", "ENHANCEDSTATUSCODES")


@dataclass
class Script:
    """Answers by the beginning of a command ("RCPT TO:<bob@", the longest counts), "" is the greeting, "." the final dot."""

    answers: dict[str, Answer] = field(default_factory=dict)
    extensions: tuple[str, ...] = EXTENSIONS
    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    only: int | None = None  # messages until it closes the connection
    gate: asyncio.Event | None = None  # waits for it before the answer to the final dot


@dataclass
class Message:
    mail: str
    rcpt: list[str]
    data: bytes  # dots unstuffed

    @property
    def to(self) -> list[str]:
        return [line.partition("<")[2].partition(">")[0] for line in self.rcpt]


@dataclass
class Session:
    """What one connection brought."""

    commands: list[str] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    secure: bool = False
    login: tuple[str, str] | None = None
    raw: bytes = b""


class Peer:
    """Each connection takes the next of `scripts`; the last one is for all that follow."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = deque(scripts or (Script(),))
        self.sessions: list[Session] = []
        self.port = 0
        self.open = 0
        self.most_open = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Peer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def play(self, *scripts: Script) -> None:
        self.scripts = deque(scripts)

    @property
    def messages(self) -> list[Message]:
        return [message for session in self.sessions for message in session.messages]

    @property
    def commands(self) -> list[str]:
        return [command for session in self.sessions for command in session.commands]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        script = self.scripts.popleft() if len(self.scripts) > 1 else self.scripts[0]
        session = Session()
        self.sessions.append(session)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await _Conversation(script, session, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()


class _Conversation:
    def __init__(self, script: Script, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.script = script
        self.session = session
        self.reader = reader
        self.writer = writer
        self.mail = ""
        self.rcpt: list[str] = []

    async def run(self) -> None:
        await self._say("", "220 peer.test ESMTP")
        while line := await self.reader.readline():
            command = line.decode().rstrip("\r\n")
            self.session.commands.append(command)
            await self._command(command)
            if self.script.only is not None and len(self.session.messages) >= self.script.only:
                return

    def _answer(self, command: str, usual: str) -> Answer:
        fitting = [key for key in self.script.answers if command.upper().startswith(key.upper()) and bool(key) == bool(command)]
        return self.script.answers[max(fitting, key=len)] if fitting else usual

    async def _say(self, command: str, usual: str) -> str:
        answer = self._answer(command, usual)
        if answer is Act.HANG:
            await asyncio.Event().wait()
        if answer is Act.CLOSE:
            raise ConnectionResetError
        if answer is Act.RESET:
            one = self.writer.get_extra_info("socket")
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.writer.transport.abort()
            raise ConnectionResetError
        assert isinstance(answer, str)
        self.writer.write(answer.replace("\n", "\r\n").encode() + b"\r\n")
        await self.writer.drain()
        return answer

    async def _command(self, command: str) -> None:
        verb = command[:4].upper()
        if verb == "EHLO":
            lines = ["peer.test", *self.script.extensions]
            if self.script.tls is not None and not self.session.secure:
                lines.append("STARTTLS")
            await self._say(command, "\n".join([f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]))
        elif verb == "STAR":
            if (await self._say(command, "220 2.0.0 go on")).startswith("220") and self.script.tls is not None:
                await self.writer.start_tls(self.script.tls)
                self.session.secure = True
        elif verb == "AUTH":
            await self._log_in(command)
        elif verb == "MAIL":
            self.mail, self.rcpt = "", []
            if (await self._say(command, "250 2.1.0 ok")).startswith("250"):
                self.mail = command
        elif verb == "RCPT":
            if (await self._say(command, "250 2.1.5 ok" if self.mail else "503 5.5.1 MAIL first")).startswith("250"):
                self.rcpt.append(command)
        elif verb == "DATA":
            usual = "354 go on" if self.rcpt else "503 5.5.1 no recipients"
            if (await self._say(command, usual)).startswith("354"):
                await self._data()
        elif verb == "QUIT":
            await self._say(command, "221 2.0.0 bye")
            raise ConnectionResetError
        elif verb in ("HELO", "RSET", "NOOP"):
            await self._say(command, "250 2.0.0 ok")
        else:
            await self._say(command, "500 5.5.1 what?")

    async def _data(self) -> None:
        lines = []
        while True:
            line = await self.reader.readuntil(b"\n")
            self.session.raw += line
            if line == b".\r\n":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
        if self.script.gate is not None:
            await self.script.gate.wait()
        message = Message(self.mail, self.rcpt, b"".join(lines))
        if self._answer(".", "250 2.0.0 taken") in (Act.RESET, Act.CLOSE, Act.HANG):
            self.session.messages.append(message)  # taken, but nobody hears of it
        if (await self._say(".", "250 2.0.0 taken")).startswith("250"):
            self.session.messages.append(message)

    async def _log_in(self, command: str) -> None:
        words = command.split(" ")
        if self._answer(command, "") != "":
            await self._say(command, "")
            return
        if words[1].upper() == "PLAIN":
            _, user, password = base64.b64decode(words[2]).decode().split("\0")
        else:
            found = []
            for challenge in (b"Username:", b"Password:"):
                self.writer.write(b"334 " + base64.b64encode(challenge) + b"\r\n")
                found.append(base64.b64decode(await self.reader.readline()).decode())
            user, password = found
        self.session.login = (user, password)
        right = self.script.login == (user, password)
        await self._say("", "235 2.7.0 in") if right else await self._say("", "535 5.7.8 no")


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Look at a condition until it holds, with a deadline."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not come to that in time"
        await asyncio.sleep(0.005)
