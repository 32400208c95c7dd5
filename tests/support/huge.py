"""A message too large for anybody's memory, made and read as a stream."""

import socket
import zlib
from collections.abc import Iterator

WORD = "rarexylophone"
_HEAD = (
    b"From: a@far.test\r\nTo: alice@a.test\r\nSubject: huge\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nA " + WORD.encode() + b" in it\r\n"
    b"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
)
_LINES = (b"QUJD" * 19 + b"\r\n") * 3000
_TAIL = b"--b--\r\n"


class HugeMail:
    """A short text and a large attachment in base64."""

    def __init__(self, about: int) -> None:
        self._count = about // len(_LINES)
        self.body = self._count * len(_LINES) - 2  # the last line's end is the boundary's
        self.decoded = self._count * 3000 * 57
        self.size = len(_HEAD) + self._count * len(_LINES) + len(_TAIL)
        self.checksum = 0
        for piece in self.pieces():
            self.checksum = zlib.crc32(piece, self.checksum)

    def pieces(self) -> Iterator[bytes]:
        yield _HEAD
        for _ in range(self._count):
            yield _LINES
        yield _TAIL


class Reader:
    """A client that keeps nothing of the literals it reads but size and checksum."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=300)
        self._file = self.socket.makefile("rb", 1 << 20)
        self.line()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def line(self) -> bytes:
        found = self._file.readline()
        if not found:
            raise EOFError("the server closed the connection")
        return found

    def run(self, command: str) -> list[bytes | tuple[int, int]]:
        """Lines of the answer; what was in a literal as (octets, checksum)."""
        self.socket.sendall(b"x " + command.encode() + b"\r\n")
        return self.answer()

    def answer(self) -> list[bytes | tuple[int, int]]:
        found: list[bytes | tuple[int, int]] = []
        while True:
            line = self.line()
            if line.startswith(b"x "):
                assert line.startswith(b"x OK"), line
                return found
            found.append(line)
            if line.endswith(b"}\r\n"):
                found.append(self._literal(int(line[line.rindex(b"{") + 1 : -3])))

    def _literal(self, left: int) -> tuple[int, int]:
        size, checksum = left, 0
        while left:
            block = self._file.read(min(left, 1 << 20))
            assert block
            left -= len(block)
            checksum = zlib.crc32(block, checksum)
        return size, checksum

    def literals(self, command: str) -> list[tuple[int, int]]:
        return [one for one in self.run(command) if isinstance(one, tuple)]

    def append(self, mail: HugeMail) -> None:
        self.socket.sendall(b"x APPEND INBOX {%d}\r\n" % mail.size)
        assert self.line().startswith(b"+")
        for piece in mail.pieces():
            self.socket.sendall(piece)
        self.socket.sendall(b"\r\n")
        self.answer()
