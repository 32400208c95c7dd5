"""Connect as a client does, through the proxy, and look who this server thinks has come."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mailstack.cli.proxies.passages import Plan
from mailstack.cli.reaching import trusting
from mailstack.config import TLS_SERVICES, Config
from mailstack.net.proxied import Proxies

SECONDS = 10.0
LOOPBACK = "127.0.0.77"  # as a client on this machine that is not the proxy
HERE = ("127.0.0.0/8", "::1/128")
DOORS = {"imaps": "imap", "pop3s": "pop3"}  # one server for both
FIX = "let the proxy send PROXY headers, and name the service in proxy.listeners: mailstack proxy haproxy (or nginx, traefik)"
WEB_FIX = "let the proxy set X-Forwarded-For and X-Forwarded-Proto, and put its address into proxy.trusted"


@dataclass(frozen=True, slots=True)
class Look:
    """`host`: the name by which clients reach the proxy."""

    config: Config
    run: Callable[..., Any]  # an operation
    host: str

    def findings(self, one: Plan) -> list[dict[str, str]]:
        """A row for each way in: what, state (ok, warn, bad), text."""
        name = one.names[0]
        rows = [_row(passage.service, *self._mail(passage.service, passage.outside, name)) for passage in one.mail]
        if one.web is not None:
            rows += [_row(scheme, *self._web(scheme, one)) for scheme in ("http", "https")]
        return rows

    def _mail(self, service: str, port: int, name: str) -> tuple[str, str]:
        before = self._connected(service)
        seen: str | None
        try:
            with _client(self.host, port, name if service in TLS_SERVICES else None) as (own, own_port):
                seen = self._seen(service, before, own, own_port)
        except OSError as problem:
            return "bad", f"{self.host} port {port}: {problem.strerror or problem}"
        where = f"{self.host} port {port}"
        if seen is None:
            return "bad", f"{where} answers, but no connection came here: it is another server's"
        return self._judge(where, own, seen, FIX)

    def _seen(self, service: str, before: set[tuple[str, int]], own: str, port: int) -> str | None:
        """The address under which the connection came; it may take the proxy a moment."""
        end = time.monotonic() + SECONDS / 2
        while time.monotonic() < end:
            new = self._connected(service) - before
            if (own, port) in new or len(new) == 1:
                return own if (own, port) in new else new.pop()[0]
            time.sleep(0.1)
        return None

    def _connected(self, service: str) -> set[tuple[str, int]]:
        door = DOORS.get(service, service)
        return {(row["peer"], row["port"]) for row in self.run("connections") if row["door"] == door}

    def _web(self, scheme: str, one: Plan) -> tuple[str, str]:
        port = one.web_ports[scheme]
        where = f"{scheme}://{self.host}"
        try:
            own, status, body = _ask(scheme, self.host, port, one.names[0])
        except (OSError, http.client.HTTPException) as problem:
            return "bad", f"{where}: {problem}"
        if status in (301, 302, 307, 308) and scheme == "http":
            return "ok", f"{where}: the proxy sends browsers to https"
        try:
            answer = json.loads(body if status == 200 else b"{}")
            seen, over = str(answer["address"]), str(answer["scheme"])
        except (ValueError, TypeError, KeyError):
            return (
                "bad",
                f"{where}: HTTP {status} and another server's answer: the proxy does not lead here for {one.names[0]}",
            )
        if over != scheme:
            return "bad", f"{where}: this server takes it for {over}; {WEB_FIX}"
        return self._judge(where, own, seen, WEB_FIX)

    def _judge(self, where: str, own: str, seen: str, fix: str) -> tuple[str, str]:
        if seen == own:
            return "ok", f"{where}: the client's address arrives ({own})"
        if Proxies.of([*HERE, *self.config.proxy.trusted]).trusts(seen):
            return "bad", f"{where}: every client seems to be {seen}, the proxy; {fix}"
        return "warn", f"{where}: {own} came as {seen}: right if that is this machine's address outside"


def _row(what: str, state: str, text: str) -> dict[str, str]:
    return {"what": what, "state": state, "text": text}


def _source(host: str, port: int) -> tuple[str, int] | None:
    """On this machine another loopback address, so that the proxy's is told from the client's."""
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]
    return (LOOPBACK, 0) if str(address).startswith("127.") else None


@contextlib.contextmanager
def _client(host: str, port: int, name: str | None) -> Iterator[tuple[str, int]]:
    """Connected and greeted, with `name` over TLS; this end's address and port. Raises OSError."""
    with socket.create_connection((host, port), SECONDS, _source(host, port)) as plain:
        own, own_port = plain.getsockname()[:2]
        with trusting().wrap_socket(plain, server_hostname=name) if name is not None else contextlib.nullcontext(plain) as one:
            if not one.recv(512):
                raise OSError("it closes the connection; proxy.refused in the log says why")
            yield own, own_port


def _ask(scheme: str, host: str, port: int, name: str) -> tuple[str, int, bytes]:
    """This end's address, the status and the body of /seen. Raises OSError, HTTPException."""
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS, source_address=_source(host, port))
    with contextlib.closing(connection):
        connection.connect()
        own = str(connection.sock.getsockname()[0])
        if scheme == "https":
            connection.sock = trusting().wrap_socket(connection.sock, server_hostname=name)
        connection.request("GET", "/seen", headers={"Host": name})
        answer = connection.getresponse()
        return own, answer.status, answer.read(65536)
