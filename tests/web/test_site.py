"""What every answer carries, also one that went wrong."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message
from structlog.testing import capture_logs

from mailstack.net.proxied import Proxies
from mailstack.store.errors import StoreFailed
from mailstack.web.console.home import ErrorPages
from mailstack.web.console.streaming import Stream
from mailstack.web.console.templates import Templates
from mailstack.web.crowd import WebCrowd
from mailstack.web.server import WebConnection, WebServer
from mailstack.web.site import HEADERS, build


async def broken(request: Request) -> Response:
    raise ValueError("a secret <script>")


async def fine(request: Request) -> Response:
    return PlainTextResponse("x")


@pytest.mark.parametrize(("accept", "kind"), [("text/html,*/*", "text/html"), ("*/*", "text/plain")])
async def test_what_goes_wrong_is_told_without_its_cause(accept: str, kind: str) -> None:
    templates = Templates(hostname="mail.a.test", version="1", asset=lambda name: f"/static/x/{name}")
    site = build([Route("/broken/{token}", broken)], ErrorPages(templates).explain)
    transport = httpx.ASGITransport(site)
    async with httpx.AsyncClient(transport=transport, base_url="http://mail.a.test", headers={"accept": accept}) as client:
        with capture_logs() as events:
            answer = await client.get("/broken/secret")
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith(kind)
    assert "secret" not in answer.text
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]
    assert [(event["event"], event["path"]) for event in events] == [("http.failed", "/broken/{token}")]


def test_who_holds_too_many_connections() -> None:
    crowd = WebCrowd(lambda peer: peer == "10.0.0.1", each=2, all=7)
    assert [crowd.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert [crowd.enter(f"2001:db8::{n}") for n in range(1, 4)] == [True, True, False], "a /64 is one client"
    crowd.leave("192.0.2.1")
    assert crowd.enter("192.0.2.1")
    assert [crowd.enter(f"198.51.100.{n}") for n in range(4)] == [True, True, True, False], "of all"
    assert all(crowd.enter(peer) for peer in ("127.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.1", "::1"))
    crowd.leave("10.0.0.1")


async def test_one_too_many_is_let_go_and_the_others_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    server = WebServer(build([Route("/", fine)]))
    server._crowd = WebCrowd(lambda _: False, all=2)
    monkeypatch.setattr("mailstack.web.crowd.is_loopback", lambda _: False)
    with socket.create_server(("127.0.0.1", 0)) as one:
        await server.listen([one], None)
        there = [await asyncio.open_connection("127.0.0.1", one.getsockname()[1]) for _ in range(2)]
        for reader, writer in there:
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        reader, writer = await asyncio.open_connection("127.0.0.1", one.getsockname()[1])
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        there[0][1].close()
        while server._crowd._open > 1:
            await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", one.getsockname()[1])
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        there[1][1].close()
        await server.stop(1)


@pytest.mark.parametrize(
    ("url", "more", "strict"),
    [
        ("https://mail.a.test/", {}, "max-age=600"),
        ("https://MAIL.a.test./", {}, "max-age=600"),
        ("https://mail.a.test/", {"host": "mail.a.test:443"}, "max-age=600"),
        ("https://mail.a.test/missing", {}, "max-age=600"),
        ("https://mail.a.test:8443/", {}, None),
        ("https://other.a.test/", {}, None),
        ("http://mail.a.test/", {}, None),
        ("http://mail.a.test/", {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}, None),
    ],
)
async def test_browsers_are_held_to_https_where_it_is_ours_and_vouched_for(
    url: str, more: dict[str, str], strict: str | None
) -> None:
    """What a proxy's own https is worth, only that proxy knows."""
    vouched = {"mail.a.test": 600}
    site = build([Route("/", fine)], proxies=lambda: Proxies.of(["10.0.0.1"]), hsts=vouched.get)
    transport = httpx.ASGITransport(site, client=("10.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport) as client:
        answer = await client.get(url, headers=more)
    assert answer.headers.get("strict-transport-security") == strict


async def test_what_is_made_while_it_is_sent_ends_when_nobody_listens() -> None:
    ended = asyncio.Event()

    async def blocks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])

    async def receive() -> Message:
        while len(sent) < 3:
            await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    sent: list[bytes] = []
    await Stream(blocks())({"type": "http"}, receive, send)
    assert ended.is_set()
    assert len(sent) >= 3


async def test_what_can_not_be_finished_is_no_whole_answer() -> None:
    async def blocks() -> AsyncIterator[bytes]:
        yield b"x"
        raise StoreFailed("the disk")

    async def take(request: Request) -> Response:
        return Stream(blocks())

    transport = httpx.ASGITransport(build([Route("/", take)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        with pytest.raises(AssertionError):
            await client.get("/")


async def takes(request: Request) -> Response:
    size = 0
    async for block in request.stream():
        size += len(block)
    return PlainTextResponse(str(size))


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[int]:
    server = WebServer(build([Route("/", takes, methods=["GET", "POST"])]))
    with socket.create_server(("127.0.0.1", 0)) as one:
        await server.listen([one], None)
        yield one.getsockname()[1]
        await server.stop(1)


async def ask(port: int, *pieces: bytes) -> bytes:
    """What is answered, until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = b""
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        found = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return found


POST = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 9_000 + b"Y: "])
async def test_a_head_without_an_end_takes_no_room(head: bytes) -> None:
    async with site() as port:
        assert (await ask(port, head, *[b"x" * 60_000] * 40)).startswith((b"HTTP/1.1 400", b""))
        assert (await ask(port, POST % 200_000, b"x" * 200_000)).endswith(b"200000"), "a body is no head"


async def test_a_body_drop_by_drop_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.web.server.BODY_SECONDS", 0.05)
    monkeypatch.setattr("mailstack.web.server.BODY_LEAST", 1000)
    async with site() as port:
        with capture_logs() as events:
            assert b"200" not in await ask(port, POST % 1000, *[b"x"] * 20)
            assert {event["event"] for event in events} == {"http.timed_out"}


async def test_a_body_that_flows_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = [], WebConnection._look_at_body

    def counted(connection: WebConnection, had: int) -> None:
        looks.append(had)
        look(connection, had)

    monkeypatch.setattr("mailstack.web.server.BODY_SECONDS", 0.05)
    monkeypatch.setattr("mailstack.web.server.BODY_LEAST", 1000)
    monkeypatch.setattr(WebConnection, "_look_at_body", counted)
    async with site() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        size = left = 20_000_000
        writer.write(POST % size)
        while len(looks) < 3 and left > 1000:
            writer.write(b"x" * 1000)
            left -= 1000
            await asyncio.sleep(0)
        writer.write(b"x" * left)
        assert (await asyncio.wait_for(reader.read(), 20)).endswith(b"20000000")
        writer.close()
    assert looks


async def test_requests_in_one_go_are_bounded() -> None:
    one = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    async with site() as port:
        assert (await ask(port, one * 19 + one.replace(b"Host", b"Connection: close\r\nHost"))).count(b"200 OK") == 20
        assert (await ask(port, one * 5_000)).count(b"200 OK") <= 40


async def test_every_template_can_be_read() -> None:
    await Templates(hostname="mail.a.test", version="1", asset=lambda name: name).ready()
