"""A conversation with a milter about one message: all that is known is told, and its answer is heard."""

import asyncio
import contextlib
import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.milter import (
    CHUNK,
    OLDEST,
    VERSION,
    Actions,
    AddHeader,
    Body,
    ChangeHeader,
    Connect,
    Framer,
    Header,
    Helo,
    InsertHeader,
    Macros,
    Mail,
    Negotiate,
    Packet,
    Quarantine,
    Rcpt,
    ReplyCode,
    Steps,
    Word,
    encode,
)

Change = AddHeader | InsertHeader | ChangeHeader | Quarantine
NEEDS = {
    AddHeader: Actions.ADD_HEADERS, InsertHeader: Actions.ADD_HEADERS, ChangeHeader: Actions.CHANGE_HEADERS,
    Quarantine: Actions.QUARANTINE,
}  # fmt: skip
# All that may be left out, and what may come without an answer; a message is shown whole, so nothing else is needed.
STEPS = Steps(0xFF7FF) | Steps.LEADING_SPACE
OLD_STEPS = Steps(0x7F)  # of version 2
CHANGES = 1000  # of one message
CHANGED = 1 << 20  # octets of them
AT_ONCE = 200  # fields between two turns of the loop
_END = (Word.ACCEPT, Word.REJECT, Word.TEMPFAIL, Word.DISCARD)


class MilterProblem(Exception):
    """No answer that can be used: why, for log and trace."""


@dataclass(frozen=True, slots=True)
class Question:
    """What it is told. `peer`: None where it is not known. `blocks`: the body, read in a thread."""

    hostname: str
    peer: str | None
    peer_name: str | None
    helo: str
    sender: str  # empty for the null sender
    recipients: Sequence[str]
    id: str
    account: str | None
    tls: str | None
    fields: Sequence[tuple[bytes, bytes]]  # as EditedHeader.fields() gives them
    blocks: Iterator[bytes]
    mechanism: str | None = None  # of SASL, by which the account logged in


@dataclass(frozen=True, slots=True)
class Answer:
    """`word`: CONTINUE, ACCEPT, REJECT, TEMPFAIL or DISCARD. Values of `changes` begin right behind the colon."""

    word: Word
    reply: bytes | None = None  # an SMTP reply in its own words, instead of `word`
    changes: tuple[Change, ...] = ()


async def ask(address: str, question: Question, offers: Actions, seconds: float) -> Answer:
    """Its answer. `address`: "host:port", "inet:host:port" or "unix:/path". Raises MilterProblem."""
    writer, answer = None, None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await _dial(address)
            answer = await _Session(reader, writer, question, offers).run()
            return answer
    except TimeoutError:
        raise MilterProblem("it took too long") from None
    except SyntaxProblem as problem:
        raise MilterProblem(problem.reason) from problem
    except OSError as problem:
        raise MilterProblem(problem.strerror or str(problem) or type(problem).__name__) from problem
    finally:
        if writer is not None and answer is not None:
            writer.close()
        elif writer is not None:
            writer.transport.abort()  # it may never read what is left to send


async def _dial(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address.removeprefix("unix:"))
    host, _, port = address.removeprefix("inet:").rpartition(":")
    return await asyncio.open_connection(host.strip("[]"), int(port))


class _Session:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, question: Question, offers: Actions) -> None:
        self._reader = reader
        self._writer = writer
        self._question = question
        self._offers = offers
        self._framer = Framer()
        self._steps = Steps(0)
        self._old = False

    async def run(self) -> Answer:
        await self._negotiate()
        answer = await self._told()
        if answer is None:
            answer = await self._end()
        else:
            self._send(Word.ABORT)
        # Nobody waits for it to be read.
        with contextlib.suppress(OSError):
            self._send(Word.QUIT)
        return answer

    async def _negotiate(self) -> None:
        self._send(Negotiate(VERSION, self._offers, STEPS))
        answer = await self._read()
        if not isinstance(answer, Negotiate):
            raise MilterProblem("it does not want to talk to this server")
        if not OLDEST <= answer.version <= VERSION:
            raise MilterProblem(f"it speaks version {answer.version}")
        # What it says to do beyond what was offered is seen when it does it: some say everything.
        self._old = answer.version == OLDEST
        self._steps = answer.steps & (OLD_STEPS if self._old else STEPS)

    async def _told(self) -> Answer | None:
        """An answer that comes before the end."""
        for packets, unwanted, silent in self._envelope():
            answer = await self._tell(packets, unwanted, silent)
            if answer is not None:
                return answer
        return await self._fields() or await self._body()

    def _envelope(self) -> Iterator[tuple[tuple[Packet, ...], Steps, Steps]]:
        one = self._question
        known = {"j": one.hostname, "{daemon_name}": "mailstack", "v": "mailstack"}
        yield (_macros(b"C", known), self._connect()), Steps.NO_CONNECT, Steps.SILENT_CONNECT
        encrypted = {"{tls_version}": one.tls} if one.tls else {}
        yield (_macros(b"H", encrypted), Helo(_octets(one.helo))), Steps.NO_HELO, Steps.SILENT_HELO
        login = {"{auth_type}": one.mechanism or "PLAIN", "{auth_authen}": one.account} if one.account else {}
        known = {"i": one.id, **login, "{mail_addr}": one.sender}
        yield (_macros(b"M", known), Mail((_octets(f"<{one.sender}>"),))), Steps.NO_MAIL, Steps.SILENT_MAIL
        for address in one.recipients:
            rcpt = Rcpt((_octets(f"<{address}>"),))
            yield (_macros(b"R", {"{rcpt_addr}": address}), rcpt), Steps.NO_RCPT, Steps.SILENT_RCPT
        if not self._old:
            yield (_macros(b"T", {"i": one.id}), Word.DATA), Steps.NO_DATA, Steps.SILENT_DATA

    def _connect(self) -> Connect:
        peer = self._question.peer
        try:
            family = b"6" if peer is not None and ipaddress.ip_address(peer).version == 6 else b"4"
        except ValueError:
            peer = None
        if peer is None:
            return Connect(b"unknown", b"U")
        return Connect(_octets(self._question.peer_name or f"[{peer}]"), family, 0, _octets(peer))

    async def _fields(self) -> Answer | None:
        spaced = Steps.LEADING_SPACE in self._steps
        for number, (name, value) in enumerate(self._question.fields):
            packet = Header(name, (value if spaced else value.removeprefix(b" ")).replace(b"\0", b""))
            answer = await self._tell((packet,), Steps.NO_HEADERS, Steps.SILENT_HEADER)
            if answer is not None:
                return answer
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
        return await self._tell((Word.END_OF_HEADER,), Steps.NO_END_OF_HEADER, Steps.SILENT_END_OF_HEADER)

    async def _body(self) -> Answer | None:
        if Steps.NO_BODY in self._steps:
            return None
        while block := await asyncio.to_thread(next, self._question.blocks, b""):
            self._send(Body(block[:CHUNK]))
            await self._writer.drain()
            if Steps.SILENT_BODY in self._steps:
                continue
            answer = await self._read()
            if answer is Word.SKIP:
                return None
            if (found := _early(answer)) is not None:
                return found
        return None

    async def _tell(self, packets: tuple[Packet, ...], unwanted: Steps, silent: Steps) -> Answer | None:
        if unwanted in self._steps:
            return None
        for packet in packets:
            self._send(packet)
        await self._writer.drain()
        return None if silent in self._steps else _early(await self._read())

    async def _end(self) -> Answer:
        self._send(_macros(b"E", {"i": self._question.id}))
        self._send(Word.END_OF_MESSAGE)
        changes: list[Change] = []
        octets = 0
        while True:
            answer = await self._read()
            if isinstance(answer, AddHeader | InsertHeader | ChangeHeader | Quarantine):
                octets += len(encode(answer))
                if NEEDS[type(answer)] not in self._offers or len(changes) >= CHANGES or octets > CHANGED:
                    raise MilterProblem("it changes what was not offered, or too much")
                changes.append(self._spaced(answer))
                continue
            found = Answer(answer) if answer is Word.CONTINUE else _early(answer)
            assert found is not None
            return Answer(found.word, found.reply, tuple(changes))

    def _spaced(self, change: Change) -> Change:
        if isinstance(change, Quarantine) or Steps.LEADING_SPACE in self._steps:
            return change
        value = b" " + change.value if change.value else b""
        if isinstance(change, AddHeader):
            return AddHeader(change.name, value)
        return type(change)(change.index, change.name, value)

    def _send(self, packet: Packet) -> None:
        self._writer.write(encode(packet))

    async def _read(self) -> Packet:
        """The next that is not only a sign of life."""
        await self._writer.drain()
        while True:
            packet = self._framer.next()
            if packet is None:
                data = await self._reader.read(65536)
                if not data:
                    raise MilterProblem("it hung up")
                self._framer.feed(data)
            elif packet is not Word.PROGRESS:
                return packet


def _early(packet: Packet) -> Answer | None:
    """None: go on."""
    if packet is Word.CONTINUE:
        return None
    if isinstance(packet, ReplyCode):
        return Answer(Word.REJECT, packet.text)
    if isinstance(packet, Word) and packet in _END:
        return Answer(packet)
    raise MilterProblem("it can't work now, or answers what was not asked")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape").replace(b"\0", b"")


def _macros(command: bytes, values: dict[str, str]) -> Macros:
    return Macros(command, tuple((_octets(name), _octets(value)) for name, value in values.items()))
