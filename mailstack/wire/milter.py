"""The milter protocol, versions 2 to 6: what a mail server asks of a filter, and what that answers (libmilter's mfdef.h).

A packet is its length (four octets), a letter, and data. The letters of both directions differ: one codec
reads and writes both.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntFlag

from mailstack.message.errors import SyntaxProblem

VERSION = 6
OLDEST = 2
CHUNK = 65535  # octets of body in one packet
PACKET_LIMIT = 1 << 20  # octets of a packet that is read


class Actions(IntFlag):
    """What a filter may do to a message (SMFIF_*)."""

    ADD_HEADERS = 0x01
    CHANGE_BODY = 0x02
    ADD_RECIPIENTS = 0x04
    DELETE_RECIPIENTS = 0x08
    CHANGE_HEADERS = 0x10
    QUARANTINE = 0x20
    CHANGE_SENDER = 0x40
    ADD_RECIPIENTS_WITH_PARAMETERS = 0x80
    SET_SYMBOLS = 0x100


class Steps(IntFlag):
    """What is left out of the conversation, and other forms of it (SMFIP_*)."""

    NO_CONNECT = 0x01
    NO_HELO = 0x02
    NO_MAIL = 0x04
    NO_RCPT = 0x08
    NO_BODY = 0x10
    NO_HEADERS = 0x20
    NO_END_OF_HEADER = 0x40
    SILENT_HEADER = 0x80  # no answer to it is sent, like those below
    NO_UNKNOWN = 0x100
    NO_DATA = 0x200
    SKIP = 0x400  # it may have seen enough of the body
    REFUSED_RECIPIENTS = 0x800
    SILENT_CONNECT = 0x1000
    SILENT_HELO = 0x2000
    SILENT_MAIL = 0x4000
    SILENT_RCPT = 0x8000
    SILENT_DATA = 0x10000
    SILENT_UNKNOWN = 0x20000
    SILENT_END_OF_HEADER = 0x40000
    SILENT_BODY = 0x80000
    LEADING_SPACE = 0x100000  # values of fields come and go with the space behind the colon


class Word(Enum):
    """Packets without data: the server's in upper case, the filter's answers below."""

    DATA = b"T"
    END_OF_HEADER = b"N"
    END_OF_MESSAGE = b"E"
    ABORT = b"A"
    QUIT = b"Q"
    QUIT_NEW_CONNECTION = b"K"
    ACCEPT = b"a"
    CONTINUE = b"c"
    DISCARD = b"d"
    CONNECTION_FAILED = b"f"
    PROGRESS = b"p"
    REJECT = b"r"
    SKIP = b"s"
    TEMPFAIL = b"t"
    SHUTDOWN = b"4"


@dataclass(frozen=True, slots=True)
class Negotiate:
    """Both say it. `symbols`: the macros that a filter asks for, as they came."""

    version: int
    actions: Actions
    steps: Steps
    symbols: bytes = b""


@dataclass(frozen=True, slots=True)
class Macros:
    """What is known at a command, by its letter: (name, value) each."""

    command: bytes
    values: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Connect:
    """`family`: 4, 6, L (a local socket) or U (not known: no port and no address)."""

    host: bytes
    family: bytes
    port: int = 0
    address: bytes = b""


@dataclass(frozen=True, slots=True)
class Helo:
    name: bytes


@dataclass(frozen=True, slots=True)
class Mail:
    """The address in angle brackets, and parameters."""

    arguments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Rcpt:
    arguments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """Lines of a folded value are parted by LF alone."""

    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Body:
    data: bytes


@dataclass(frozen=True, slots=True)
class ReplyCode:
    """A whole SMTP reply."""

    text: bytes


@dataclass(frozen=True, slots=True)
class AddHeader:
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class InsertHeader:
    """`index`: how many fields stand above it, with the server's own Received, which filters don't see: 0 and 1 are the top."""

    index: int
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    """The `index`th field of that name, from 1 on; an empty value takes it out."""

    index: int
    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class ReplaceBody:
    data: bytes


@dataclass(frozen=True, slots=True)
class AddRecipient:
    address: bytes


@dataclass(frozen=True, slots=True)
class AddRecipientWithParameters:
    arguments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class DeleteRecipient:
    address: bytes


@dataclass(frozen=True, slots=True)
class ChangeSender:
    arguments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Quarantine:
    reason: bytes


Packet = (
    Word | Negotiate | Macros | Connect | Helo | Mail | Rcpt | Header | Body | ReplyCode | AddHeader | InsertHeader
    | ChangeHeader | ReplaceBody | AddRecipient | AddRecipientWithParameters | DeleteRecipient | ChangeSender | Quarantine
)  # fmt: skip
_LETTERS: dict[type, bytes] = {
    Negotiate: b"O", Macros: b"D", Connect: b"C", Helo: b"H", Mail: b"M", Rcpt: b"R", Header: b"L", Body: b"B",
    ReplyCode: b"y", AddHeader: b"h", InsertHeader: b"i", ChangeHeader: b"m", ReplaceBody: b"b", AddRecipient: b"+",
    AddRecipientWithParameters: b"2", DeleteRecipient: b"-", ChangeSender: b"e", Quarantine: b"q",
}  # fmt: skip


class Framer:
    """Octets in, packets out."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        self._data += data

    def next(self) -> Packet | None:
        """None while it is not whole. Raises SyntaxProblem."""
        if len(self._data) < 4:
            return None
        size = int.from_bytes(self._data[:4])
        if not 1 <= size <= PACKET_LIMIT:
            raise SyntaxProblem("a milter packet of no octets, or too many")
        if len(self._data) < 4 + size:
            return None
        packet = bytes(self._data[4 : 4 + size])
        del self._data[: 4 + size]
        return decode(packet[:1], packet[1:])


def encode(packet: Packet) -> bytes:
    """Its octets. Raises SyntaxProblem for a text with a NUL."""
    if isinstance(packet, Word):
        return struct.pack("!I", 1) + packet.value
    data = _data(packet)
    return struct.pack("!I", 1 + len(data)) + _LETTERS[type(packet)] + data


def _data(packet: Packet) -> bytes:
    match packet:
        case Negotiate(version, actions, steps, symbols):
            return struct.pack("!III", version, actions, steps) + symbols
        case Macros(command, values):
            return command + _texts(*(text for pair in values for text in pair))
        case Connect(host, family, port, address):
            return _texts(host) + family + (struct.pack("!H", port) + _texts(address) if family != b"U" else b"")
        case Mail(arguments) | Rcpt(arguments) | AddRecipientWithParameters(arguments) | ChangeSender(arguments):
            return _texts(*arguments)
        case Header(name, value) | AddHeader(name, value):
            return _texts(name, value)
        case InsertHeader(index, name, value) | ChangeHeader(index, name, value):
            return struct.pack("!I", index) + _texts(name, value)
        case Body(data) | ReplaceBody(data):
            return data
        case Helo(text) | ReplyCode(text) | AddRecipient(text) | DeleteRecipient(text) | Quarantine(text):
            return _texts(text)
    raise AssertionError(packet)


def _texts(*texts: bytes) -> bytes:
    if any(b"\0" in text for text in texts):
        raise SyntaxProblem("a NUL in a text for a milter")
    return b"".join(text + b"\0" for text in texts)


def decode(letter: bytes, data: bytes) -> Packet:
    """A packet of its letter and its data. Raises SyntaxProblem."""
    reader = _READERS.get(letter)
    if reader is not None:
        return reader(data)
    try:
        word = Word(letter)
    except ValueError:
        raise SyntaxProblem("a milter packet that is not known") from None
    if data:
        raise SyntaxProblem("data in a milter packet that has none")
    return word


def _split(data: bytes, least: int = 1, most: int | None = None) -> tuple[bytes, ...]:
    """Texts, each with its NUL."""
    texts = data.split(b"\0")
    if texts.pop() or len(texts) < least or (most is not None and len(texts) > most):
        raise SyntaxProblem("a milter packet with too few texts, too many, or one without end")
    return tuple(texts)


def _pair(data: bytes) -> tuple[bytes, bytes]:
    name, value = _split(data, 2, 2)
    return name, value


def _number(data: bytes) -> int:
    if len(data) < 4:
        raise SyntaxProblem("a milter packet that is cut off")
    return int.from_bytes(data[:4])


def _negotiate(data: bytes) -> Negotiate:
    if len(data) < 12:
        raise SyntaxProblem("a milter packet that is cut off")
    version, actions, steps = struct.unpack_from("!III", data)
    return Negotiate(version, Actions(actions), Steps(steps), data[12:])


def _macros(data: bytes) -> Macros:
    texts = _split(data[1:], 0)
    if not data or len(texts) % 2:
        raise SyntaxProblem("milter macros without a command, or without a value")
    return Macros(data[:1], tuple(zip(texts[::2], texts[1::2], strict=True)))


def _connect(data: bytes) -> Connect:
    host, end, rest = data.partition(b"\0")
    family = rest[:1]
    if not end or family not in (b"4", b"6", b"L", b"U"):
        raise SyntaxProblem("a milter connection of no family that is known")
    if family == b"U":
        if len(rest) > 1:
            raise SyntaxProblem("an address of no family")
        return Connect(host, family)
    if len(rest) < 3:
        raise SyntaxProblem("a milter packet that is cut off")
    return Connect(host, family, int.from_bytes(rest[1:3]), *_split(rest[3:], 1, 1))


_READERS: dict[bytes, Callable[[bytes], Packet]] = {
    b"O": _negotiate,
    b"D": _macros,
    b"C": _connect,
    b"H": lambda data: Helo(*_split(data, 1, 1)),
    b"M": lambda data: Mail(_split(data)),
    b"R": lambda data: Rcpt(_split(data)),
    b"L": lambda data: Header(*_pair(data)),
    b"B": Body,
    b"y": lambda data: ReplyCode(*_split(data, 1, 1)),
    b"h": lambda data: AddHeader(*_pair(data)),
    b"i": lambda data: InsertHeader(_number(data), *_pair(data[4:])),
    b"m": lambda data: ChangeHeader(_number(data), *_pair(data[4:])),
    b"b": ReplaceBody,
    b"+": lambda data: AddRecipient(*_split(data, 1, 1)),
    b"2": lambda data: AddRecipientWithParameters(_split(data)),
    b"-": lambda data: DeleteRecipient(*_split(data, 1, 1)),
    b"e": lambda data: ChangeSender(_split(data)),
    b"q": lambda data: Quarantine(*_split(data, 1, 1)),
}
