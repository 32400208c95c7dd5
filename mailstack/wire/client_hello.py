"""The first message of TLS, as far as it must be known before the handshake: whom the client asks for, and for which protocol.

Pure. RFC 8446 4.1.2 has the message, 5.1 the records around it; names are RFC 6066 3, protocols RFC 7301 3.1.
"""

from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem

LIMIT = 16384  # octets; with keys for tomorrow it is some 2,000
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ALPN = 0, 16
_HOST_NAME = 0


@dataclass(frozen=True, slots=True)
class ClientHello:
    server_name: str | None
    protocols: tuple[bytes, ...]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def take(self, count: int) -> bytes:
        found = self._data[self._place : self._place + count]
        if len(found) < count:
            raise SyntaxProblem("a ClientHello that ends too soon")
        self._place += count
        return found

    def number(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "big")

    def vector(self, octets: int) -> "_Reader":
        """What follows its own length, which has so many octets."""
        return _Reader(self.take(self.number(octets)))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._place)

    def __bool__(self) -> bool:
        return self._place < len(self._data)


def parse(data: bytes) -> ClientHello | None:
    """From a connection's first octets; None while it is not whole. Raises SyntaxProblem: it is no TLS, or too long."""
    message = _message(data)
    if message is None:
        return None
    body = _Reader(message)
    body.take(34)  # version and random
    body.vector(1), body.vector(2), body.vector(1)  # session, ciphers, compressions
    name: str | None = None
    protocols: tuple[bytes, ...] = ()
    extensions = body.vector(2) if body else _Reader(b"")
    while extensions:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == _SERVER_NAME:
            name = _name(content)
        elif kind == _ALPN:
            protocols = _protocols(content)
    return ClientHello(name, protocols)


def _message(data: bytes) -> bytes | None:
    """The message without the records around it."""
    found, place = b"", 0
    while len(data) - place >= 5:
        if data[place] != _HANDSHAKE or data[place + 1] != 3:
            raise SyntaxProblem("no TLS handshake")
        size = int.from_bytes(data[place + 3 : place + 5], "big")
        found += data[place + 5 : place + 5 + size]
        if found and found[0] != _CLIENT_HELLO:
            raise SyntaxProblem("no ClientHello")
        if len(found) >= 4:
            whole = 4 + int.from_bytes(found[1:4], "big")
            if whole > LIMIT:
                raise SyntaxProblem("a ClientHello that is too long")
            if len(found) >= whole:
                return found[4:whole]
        place += 5 + size
    if (data and data[0] != _HANDSHAKE) or len(data) > 2 * LIMIT:
        raise SyntaxProblem("no TLS handshake")
    return None


def _name(content: _Reader) -> str | None:
    names = content.vector(2)
    while names:
        kind, name = names.number(1), names.vector(2).rest()
        if kind == _HOST_NAME:
            return name.decode("ascii", "replace").lower().rstrip(".")
    return None


def _protocols(content: _Reader) -> tuple[bytes, ...]:
    names, found = content.vector(2), []
    while names:
        found.append(names.vector(1).rest())
    return tuple(found)
