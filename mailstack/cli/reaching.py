"""Reaching the listeners of a running server from its own machine."""

import asyncio
import contextlib
import http.client
import socket
import ssl
from collections.abc import AsyncIterator

from mailstack.config import TLS_SERVICES, Config
from mailstack.wire.proxy import LOCAL_HEADER

GREETINGS = (b"220", b"* OK", b"+OK", b'"IMPLEMENTATION"')


def hosts(text: str) -> list[tuple[str, int]]:
    """Where a listener ("address:port") answers; "[::]" on both families, where this machine has both."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if host == "::":
        return [(one, int(port)) for one in (["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"])]
    return [("127.0.0.1" if host == "0.0.0.0" else host, int(port))]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


def place(config: Config, *services: str) -> tuple[str, str, int] | None:
    """The first configured listener of the first of these services that has one."""
    for service in services:
        for name, text in config.listeners():
            if name == service:
                return (name, *hosts(text)[0])
    return None


def trusting() -> ssl.SSLContext:
    """For this machine's own certificate, which may be self-signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.asynccontextmanager
async def prefixed(host: str, port: int) -> AsyncIterator[int]:
    """A port of this machine that leads to a listener, with the PROXY header in front that says "I speak for myself"."""
    tasks = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        back.write(LOCAL_HEADER)
        for pair in ((reader, back), (there, writer)):
            tasks.add(asyncio.create_task(pass_on(*pair)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()


def healthz(host: str, port: int, seconds: float = 5.0, *, tls: bool = False, proxied: bool = False) -> tuple[int, bytes]:
    """Status and words of /healthz; straight, whatever proxies the environment names. Raises OSError."""
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.connect()
        if proxied:
            connection.sock.sendall(LOCAL_HEADER)
        if tls:
            connection.sock = trusting().wrap_socket(connection.sock)
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status, answer.read(1000)
    except http.client.HTTPException as problem:
        raise OSError(f"not HTTP: {problem!r}") from problem
    finally:
        connection.close()


def greets(service: str, host: str, port: int, *, proxied: bool = False) -> str | None:
    """None when the listener answers as its service does, else why not. `proxied`: it wants a PROXY header first."""
    try:
        if service in ("http", "https"):
            status, words = healthz(host, port, tls=service == "https", proxied=proxied)
            # That mail does not get through is another matter: the door is open.
            return None if status == 200 or words.startswith(b"self-test:") else f"HTTP {status}"
        with socket.create_connection((host, port), timeout=5) as connection:
            if proxied:
                connection.sendall(LOCAL_HEADER)
            if service in TLS_SERVICES:
                with trusting().wrap_socket(connection) as secure:
                    greeting = secure.recv(512)
            else:
                greeting = connection.recv(512)
        return None if greeting.startswith(GREETINGS) else f"said {greeting[:60]!r}"
    except OSError as problem:
        return str(problem)
