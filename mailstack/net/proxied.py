"""Connections that come through a proxy: its PROXY header first, then all that the door expects, TLS included."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from mailstack.log import get_logger
from mailstack.message.errors import SyntaxProblem
from mailstack.net.tls_layer import Gate, TlsLayer
from mailstack.wire.proxy import Ends, parse

log = get_logger()
HEADER_SECONDS = 10.0
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Door(asyncio.Protocol):
    """What serves a connection. `ends` is set before connection_made() where a proxy said whose connection it is."""

    ends: Ends | None


@dataclass(frozen=True, slots=True)
class Proxies:
    """Who may say for whom it speaks."""

    networks: tuple[Network, ...]

    @classmethod
    def of(cls, texts: list[str]) -> Proxies:
        """From "10.0.0.1" or "10.0.0.0/8". Raises ValueError."""
        return cls(tuple(ipaddress.ip_network(text) for text in texts))

    def trusts(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


def peer_of(transport: asyncio.BaseTransport, ends: Ends | None) -> str:
    """Who is at the other end: an address, or "local" for a Unix socket."""
    if ends is not None:
        return ends.peer
    name = transport.get_extra_info("peername")
    # A listener for both families shows IPv4 as ::ffff:192.0.2.1.
    return str(name[0]).removeprefix("::ffff:") if isinstance(name, tuple) and name else "local"


def port_of(transport: asyncio.BaseTransport, ends: Ends | None) -> int | None:
    """The port at the other end; None for a Unix socket."""
    if ends is not None:
        return ends.peer_port
    name = transport.get_extra_info("peername")
    return int(name[1]) if isinstance(name, tuple) and len(name) > 1 else None


class ProxyHeader(asyncio.Protocol):
    """Waits for the header, then gives the connection to the door's own protocol, and is out of the way."""

    def __init__(
        self, make: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None, proxies: Proxies, gate: Gate | None = None
    ) -> None:
        self._make = make
        self._tls = tls
        self._proxies = proxies
        self._gate = gate
        self._transport: asyncio.Transport
        self._data = b""
        self._peer = ""
        self._trusted = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._peer = peer_of(transport, None)
        self._trusted = self._proxies.trusts(self._peer)
        if not self._trusted and not _from_here(self._peer):
            self._refuse("is not in proxy.trusted")
            return
        self._timer = asyncio.get_running_loop().call_later(HEADER_SECONDS, self._refuse, "sent no PROXY header in time")

    def data_received(self, data: bytes) -> None:
        if self._transport.is_closing():
            return
        self._data += data
        try:
            header = parse(self._data)
        except SyntaxProblem as problem:
            self._refuse(f"sent {problem.reason}")
            return
        if header is None:
            return
        if not self._trusted and header.ends is not None:
            # This machine's own programs may look whether the door answers, in nobody's name but their own.
            self._refuse("is not in proxy.trusted")
            return
        self._stop_timer()
        self._hand_over(header.ends, self._data[header.size :])

    def connection_lost(self, problem: Exception | None) -> None:
        self._stop_timer()

    def _hand_over(self, ends: Ends | None, rest: bytes) -> None:
        protocol = self._make()
        protocol.ends = ends  # type: ignore[attr-defined]
        if self._tls is not None:
            protocol = TlsLayer(protocol, self._tls, gate=self._gate)
        self._data = b""
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if rest and not self._transport.is_closing():
            protocol.data_received(rest)

    def _refuse(self, reason: str) -> None:
        log.warning("proxy.refused", peer=self._peer, reason=reason)
        self._stop_timer()
        self._transport.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _from_here(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False
