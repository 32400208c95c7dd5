"""An IMAP client that takes nothing but what the grammar allows: every response goes through the strict reader."""

import re
import socket
import ssl
import zlib
from types import TracebackType

from tests.support.responses import Response, parse

_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n$")


class Client:
    """One connection. `run` sends a command and gives its answer, `heard` holds what came untagged on the way."""

    def __init__(self, where: int | socket.socket, *, tls: bool = False, tls12: bool = False, seconds: float = 60) -> None:
        self.socket = where if isinstance(where, socket.socket) else socket.create_connection(("127.0.0.1", where))
        self.socket.settimeout(seconds)
        if not isinstance(where, socket.socket):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls12 = tls12
        self.buffer = b""
        self.utf8 = False
        self.heard: list[Response] = []
        self._number = 0
        self._pack: zlib._Compress | None = None
        self._unpack: zlib._Decompress | None = None
        if tls:
            self._handshake()
        self.greeting = self.next()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.socket.close()

    def _handshake(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if self._tls12:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.socket = context.wrap_socket(self.socket)

    def send(self, data: bytes) -> None:
        if self._pack is not None:
            data = self._pack.compress(data) + self._pack.flush(zlib.Z_SYNC_FLUSH)
        self.socket.sendall(data)

    def _more(self) -> None:
        data = self.socket.recv(1 << 18)
        if not data:
            raise EOFError("the server closed the connection")
        self.buffer += self._unpack.decompress(data) if self._unpack is not None else data

    def raw(self) -> bytes:
        """The octets of the next response."""
        scanned = 0
        while True:
            end = self.buffer.find(b"\n", scanned)
            if end < 0:
                self._more()
                continue
            scanned = end + 1
            literal = _LITERAL.search(self.buffer, max(0, end - 30), scanned)
            if literal is None:
                data, self.buffer = self.buffer[:scanned], self.buffer[scanned:]
                return data
            scanned += int(literal[1])
            while len(self.buffer) < scanned:
                self._more()

    def next(self) -> Response:
        return parse(self.raw(), utf8=self.utf8)

    def tag(self) -> str:
        self._number += 1
        return f"t{self._number}"

    def answer(self, tag: str) -> Response:
        """All responses up to the tagged one, which is given; the others are in `heard`."""
        self.heard = []
        while True:
            response = self.next()
            if response.tag == tag:
                return response
            assert response.tag is None, response
            self.heard.append(response)

    def run(self, command: str | bytes) -> Response:
        tag = self.tag()
        self.send(tag.encode() + b" " + (command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.answer(tag)

    def ok(self, command: str | bytes) -> list[Response]:
        """Run a command that must succeed; its untagged responses."""
        answer = self.run(command)
        assert answer.kind == "OK", (command[:200], answer)
        return self.heard

    def login(self, address: str, password: str) -> None:
        self.ok(f'LOGIN {address} "{password}"')

    def append(self, mailbox: str, data: bytes, flags: str = "") -> int:
        """As it is, by literal8 where it holds NUL; the UID."""
        binary = b"~" if b"\0" in data else b""
        answer = self.run(
            f"APPEND {mailbox} {flags + ' ' if flags else ''}".encode() + binary + b"{%d+}\r\n" % len(data) + data
        )
        assert answer.kind == "OK", answer
        return int(answer.data.split()[1])

    def start_tls(self) -> None:
        self.ok("STARTTLS")
        self._handshake()

    def compress(self) -> None:
        self.ok("COMPRESS DEFLATE")
        self._pack, self._unpack = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)

    def fetch(self, what: str, *, uid: bool = True) -> dict[int, Response]:
        """FETCH responses by UID (or by number)."""
        heard = self.ok(("UID " if uid else "") + "FETCH " + what)
        found: dict[int, Response] = {}
        for response in heard:
            if response.kind == "FETCH":
                key = response.items["UID"] if uid else response.number
                assert isinstance(key, int)
                if key not in found or len(response.items) >= len(found[key].items):
                    found[key] = response
        return found
