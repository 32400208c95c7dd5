"""A proxy between a mail program and the server that writes down what each said, and when: plain text, on loopback."""

import contextlib
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

_COMPRESS = re.compile(rb"^(\S+) COMPRESS DEFLATE\r$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Said:
    """`session` counts connections from 1; `seconds` since the start; empty octets: this side closed."""

    session: int
    client: bool
    seconds: float
    data: bytes


@dataclass(slots=True)
class _Side:
    """One direction. What is compressed passes as it is, and is written down as it was meant."""

    session: int
    client: bool
    unpack: "zlib._Decompress | None" = None

    def read(self, data: bytes) -> bytes:
        return self.unpack.decompress(data) if self.unpack is not None else data


@dataclass(slots=True)
class _Wire:
    """Both directions; COMPRESS (RFC 4978) begins behind the answer to it on one side, behind the command on the other."""

    client: _Side
    server: _Side
    asked: re.Pattern[bytes] | None = None

    def read(self, side: _Side, data: bytes) -> list[bytes]:
        """What is said in these octets."""
        if side.client and side.unpack is None and (found := _COMPRESS.search(data)):
            self.asked = re.compile(rb"^%b OK [^\n]*\n" % re.escape(found[1]), re.MULTILINE)
        if side.client or self.asked is None or (found := self.asked.search(data)) is None:
            return [side.read(data)]
        self.asked = None
        self.client.unpack, self.server.unpack = zlib.decompressobj(-15), zlib.decompressobj(-15)
        return [data[: found.end()], side.read(data[found.end() :])]


@dataclass(slots=True)
class Recorder:
    """`with`; programs connect to `port`. `heard` grows meanwhile."""

    target: int
    heard: list[Said] = field(default_factory=list)
    port: int = 0
    _begun: float = 0.0
    _listener: socket.socket | None = None
    _sessions: int = 0
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> "Recorder":
        self._begun = time.monotonic()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def said(self, wanted: Callable[[Said], bool] = lambda one: one.client) -> bytes:
        """By all programs together."""
        with self._turn:
            return b"".join(one.data for one in self.heard if wanted(one))

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._sessions += 1
                server = socket.create_connection(("127.0.0.1", self.target))
                wire = _Wire(_Side(self._sessions, True), _Side(self._sessions, False))
                for side, source, sink in ((wire.client, client, server), (wire.server, server, client)):
                    threading.Thread(target=self._pass_on, args=(wire, side, source, sink), daemon=True).start()

    def _pass_on(self, wire: _Wire, side: _Side, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 18):
                self._note(wire, side, data)
                sink.sendall(data)
        self._write(side, b"")
        for one in (sink, source):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _note(self, wire: _Wire, side: _Side, data: bytes) -> None:
        with self._turn:
            pieces = wire.read(side, data)
        for piece in pieces:
            if piece:
                self._write(side, piece)

    def _write(self, side: _Side, data: bytes) -> None:
        with self._turn:
            self.heard.append(Said(side.session, side.client, time.monotonic() - self._begun, data))
