"""Reaching the listeners of a server from its own machine."""

import http.client
import socket
import ssl

from mailstack.config import TLS_SERVICES
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


def trusting() -> ssl.SSLContext:
    """For this machine's own certificate, which may be self-signed."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


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
