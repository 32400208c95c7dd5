"""A TLS handshake with a server for nothing but the certificate that it shows: straight, or after its protocol's words."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mailstack.wire.proxy import LOCAL_HEADER

SECONDS = 15.0
LINES = 100  # of one answer
_Reply = Callable[[bytes], bool]


class HandshakeProblem(Exception):
    """Why no certificate was seen."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a service listens. `tls`: from the first byte on; `proxied`: it wants a PROXY header first."""

    service: str
    address: str
    port: int
    tls: bool
    proxied: bool

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.service} {host}:{self.port}"


async def shown(listener: Listener, name: str | None) -> bytes:
    """The certificate (DER) that a client sees who asks for this name; None: for none. Raises HandshakeProblem."""
    try:
        async with asyncio.timeout(SECONDS):
            return await _shown(listener, name)
    except TimeoutError:
        raise HandshakeProblem("no answer in time") from None
    except (OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as problem:
        raise HandshakeProblem(str(problem) or type(problem).__name__) from problem


async def _shown(listener: Listener, name: str | None) -> bytes:
    reader, writer = await asyncio.open_connection(listener.address, listener.port)
    try:
        if listener.proxied:
            writer.write(LOCAL_HEADER)
        if not listener.tls:
            await _WORDS[listener.service](reader, writer)
        await writer.start_tls(_context(), server_hostname=name)
        found: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if found is None:
            raise HandshakeProblem("it shows no certificate")
        return found
    finally:
        writer.close()  # with TLS's goodbye, which is not waited for


def _context() -> ssl.SSLContext:
    """Nothing is verified: what is there is what matters."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _until(reader: asyncio.StreamReader, last: _Reply) -> None:
    """Read an answer to its last line, which must say yes."""
    for _ in range(LINES):
        line = await reader.readuntil(b"\n")
        if last(line):
            return
    raise HandshakeProblem("an answer without an end")


def _smtp(code: bytes) -> _Reply:
    def last(line: bytes) -> bool:
        if not line.startswith(code):
            raise HandshakeProblem(f"it says {line[:80].strip().decode(errors='replace')}")
        return line[3:4] != b"-"

    return last


def _begins(good: bytes, bad: tuple[bytes, ...]) -> _Reply:
    def last(line: bytes) -> bool:
        if line.startswith(bad):
            raise HandshakeProblem(f"it says {line[:80].strip().decode(errors='replace')}")
        return line.startswith(good)

    return last


async def _smtp_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _until(reader, _smtp(b"220"))
    writer.write(b"EHLO localhost\r\n")
    await _until(reader, _smtp(b"250"))
    writer.write(b"STARTTLS\r\n")
    await _until(reader, _smtp(b"220"))


async def _imap_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _until(reader, _begins(b"* OK", (b"* BYE",)))
    writer.write(b"a STARTTLS\r\n")
    await _until(reader, _begins(b"a OK", (b"a NO", b"a BAD", b"* BYE")))


async def _pop3_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _until(reader, _begins(b"+OK", (b"-ERR",)))
    writer.write(b"STLS\r\n")
    await _until(reader, _begins(b"+OK", (b"-ERR",)))


async def _sieve_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _until(reader, _begins(b"OK", (b"NO", b"BYE")))
    writer.write(b"STARTTLS\r\n")
    await _until(reader, _begins(b"OK", (b"NO", b"BYE")))


_WORDS: dict[str, Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]] = {
    "smtp": _smtp_words,
    "submission": _smtp_words,
    "imap": _imap_words,
    "pop3": _pop3_words,
    "managesieve": _sieve_words,
}
STARTTLS = tuple(_WORDS)  # services that begin without TLS
