"""Who may speak PROXY to a listener, and for how long one is waited for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import structlog

from mailstack.net import proxied
from mailstack.net.listen import listen
from mailstack.net.proxied import Proxies, peer_of
from mailstack.net.serving import serve
from mailstack.wire.proxy import LOCAL_HEADER, Ends

HEADER = b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 25\r\n"


class Echo(asyncio.Protocol):
    """Says who is there, and then what it is told."""

    ends: Ends | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.transport.write(peer_of(transport, self.ends).encode() + b" ")

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


@contextlib.asynccontextmanager
async def opened(*trusted: str) -> AsyncIterator[int]:
    one = listen("127.0.0.1:0")
    one.proxies = Proxies.of(list(trusted)) if trusted else None
    server = await serve(one, Echo, None)
    try:
        yield one.getsockname()[1]
    finally:
        server.close()


async def said(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("trusted", "data", "answer"),
    [
        (("127.0.0.1",), HEADER + b"hello", b"203.0.113.7 hello"),
        (("192.0.2.1", "127.0.0.0/8"), LOCAL_HEADER + b"hello", b"127.0.0.1 hello"),
        (("192.0.2.1", "2001:db8::/32"), HEADER + b"hello", b""),
        (("192.0.2.1",), LOCAL_HEADER + b"hello", b"127.0.0.1 hello"),  # this machine, in its own name
        (("192.0.2.1",), b"PROXY UNKNOWN\r\nhello", b"127.0.0.1 hello"),
        (("127.0.0.1",), b"hello", b""),
        ((), HEADER, b"127.0.0.1 " + HEADER),
    ],
)
async def test_who_is_taken_at_its_word(trusted: tuple[str, ...], data: bytes, answer: bytes) -> None:
    async with opened(*trusted) as port:
        assert await said(port, data) == answer


async def test_one_that_says_nothing_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxied, "HEADER_SECONDS", 0.05)
    with structlog.testing.capture_logs() as events:
        async with opened("127.0.0.1") as port:
            assert await said(port, b"PROXY TCP4") == b""
    assert [event["reason"] for event in events] == ["sent no PROXY header in time"]


def test_networks() -> None:
    proxies = Proxies.of(["10.0.0.0/8", "2001:db8::1"])
    assert [proxies.trusts(peer) for peer in ("10.1.2.3", "2001:db8::1", "11.0.0.1", "2001:db8::2", "local")] == [
        True,
        True,
        False,
        False,
        False,
    ]
