"""Whose word counts about who asks, and over what; sessions that are over; how often somebody may ask."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mailstack.message.address import parse_address
from mailstack.net.proxied import Proxies
from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users.directory import Directory
from mailstack.store.users.sessions import IDLE_SECONDS, LONGEST_SECONDS, Sessions
from mailstack.store.users.setup_links import SECONDS, SetupLinks
from mailstack.web.console.pace import Pace
from mailstack.web.console.privacy import is_own, is_private
from mailstack.web.site import build

PROXY = "10.0.0.1"


async def seen(peer: str, headers: dict[str, str], host: str = "mail.a.test") -> list[object]:
    """By whom, over what, and whether that is private; from a page of ours?"""

    async def answer(request: Request) -> Response:
        assert request.client is not None
        return JSONResponse([request.client.host, request.scope["scheme"], is_private(request), is_own(request)])

    site = build([Route("/", answer)], proxies=lambda: Proxies.of([PROXY, "10.9.0.0/16"]))
    transport = httpx.ASGITransport(site, client=(peer, 0))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        found: list[object] = (await client.get("/", headers=headers)).json()
    return found


@pytest.mark.parametrize(
    ("peer", "headers", "host", "wanted"),
    [
        ("192.0.2.1", {}, "mail.a.test", ["192.0.2.1", "http", False]),
        (
            "192.0.2.1",
            {"x-forwarded-proto": "https", "x-forwarded-for": "127.0.0.1"},
            "localhost",
            ["192.0.2.1", "http", False],
        ),
        (PROXY, {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.7"}, "mail.a.test", ["192.0.2.7", "https", True]),
        (PROXY, {"x-forwarded-proto": "http", "x-forwarded-for": "192.0.2.7"}, "mail.a.test", ["192.0.2.7", "http", False]),
        # What stands before the trusted ones, anybody may have written.
        (PROXY, {"x-forwarded-for": "127.0.0.1, 192.0.2.7, 10.9.1.1"}, "localhost", ["192.0.2.7", "http", False]),
        (PROXY, {"x-forwarded-for": "[2001:db8::1]", "x-forwarded-proto": "https"}, "a.test", ["2001:db8::1", "https", True]),
        (PROXY, {"x-forwarded-for": "<script>", "x-forwarded-proto": "https"}, "a.test", [PROXY, "https", True]),
        ("127.0.0.1", {}, "localhost:2080", ["127.0.0.1", "http", True]),
        ("::1", {}, "[::1]:2080", ["::1", "http", True]),
        ("127.0.0.1", {}, "rebound.evil.test", ["127.0.0.1", "http", False]),
        ("127.0.0.1", {}, "localhost.evil.test", ["127.0.0.1", "http", False]),
        *(
            ("127.0.0.1", {name: "x"}, "localhost", ["127.0.0.1", "http", False])
            for name in ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "via")
        ),
    ],
)
async def test_who_asks_and_over_what(peer: str, headers: dict[str, str], host: str, wanted: list[object]) -> None:
    assert (await seen(peer, headers, host))[:3] == wanted


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({}, True),  # no browser
        ({"origin": "http://a.test"}, True),
        ({"origin": "http://A.test:80", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "https://a.test"}, False),
        ({"origin": "http://a.test:8080"}, False),
        ({"origin": "http://a.test.evil.test"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "same-site", "origin": "http://a.test"}, False),
    ],
)
async def test_whose_page_a_form_is(headers: dict[str, str], own: bool) -> None:
    assert (await seen("127.0.0.1", headers, "a.test"))[3] is own


class World:
    def __init__(self, folder: Path) -> None:
        self.now, self.folder = 1_000_000.0, folder
        self.database = Database(folder / "mailstack.sqlite3")
        self.database.start()
        self.directory = Directory(self.database, folder / "mail")
        self.behind = WriteBehind(self.database, 3600)
        self.sessions = self.other()

    def other(self) -> Sessions:
        """As after a restart: nothing in memory."""
        one = Sessions(self.database, self.behind, lambda: self.now)
        self.directory.on_locked.append(one.forget)
        return one

    async def begin(self) -> str:
        token = await self.sessions.begin("alice@a.test", "{PLAIN}x", "192.0.2.1", "Browser")
        assert token is not None
        return token


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user database that holds nothing: made once."""
    path = tmp_path_factory.mktemp("migrated") / "mailstack.sqlite3"
    database = Database(path)
    database.start()
    database.close()
    return path


@pytest.fixture
async def world(migrated: Path, tmp_path: Path) -> AsyncIterator[World]:
    shutil.copy(migrated, tmp_path)
    one = World(tmp_path)
    await one.directory.add_domain("a.test")
    await one.directory.add_accounts([(parse_address("alice@a.test"), "{PLAIN}x", None)], 0.0)
    yield one
    await one.behind.close()
    one.database.close()


async def test_a_session_that_nobody_uses_ends(world: World) -> None:
    token = await world.begin()
    world.now += IDLE_SECONDS - 1
    assert await world.sessions.find(token) is not None
    world.now += IDLE_SECONDS - 1
    assert await world.sessions.find(token) is not None, "it was used meanwhile"
    await world.behind.flush()
    assert await world.other().find(token) is not None
    world.now += IDLE_SECONDS + 1
    assert await world.sessions.find(token) is None
    assert await world.other().find(token) is None


async def test_a_page_that_looks_again_by_itself_keeps_no_session_alive(world: World) -> None:
    token = await world.begin()
    for _ in range(12):
        world.now += IDLE_SECONDS / 10
        found = await world.sessions.find(token, touch=False)
    assert found is None


async def test_no_session_lasts_longer_than_30_days(world: World) -> None:
    token = await world.begin()
    while world.now < 1_000_000.0 + LONGEST_SECONDS:
        assert await world.sessions.find(token) is not None
        world.now += IDLE_SECONDS / 2
    world.now += 1
    assert await world.sessions.find(token) is None


async def test_a_token_is_not_what_the_database_holds(world: World) -> None:
    token = await world.begin()
    (row,) = await world.sessions.listing("alice@a.test")
    assert row.digest != token
    assert await world.sessions.find(row.digest) is None
    for odd in ("", "ä", "\ud800", token[:-1]):
        assert await world.sessions.find(odd) is None


async def test_what_ends_with_the_password_has_ended_on_disk(world: World) -> None:
    token, other = await world.begin(), world.other()
    assert await other.find(token) is not None
    await world.directory.set_password("alice@a.test", "{PLAIN}y")
    assert await world.sessions.find(token) is None
    assert await other.find(token) is None
    assert await world.other().find(token) is None
    # Who proved the old password a moment ago comes too late.
    assert await world.sessions.begin("alice@a.test", "{PLAIN}x", "192.0.2.1", "") is None
    assert await world.sessions.begin("alice@a.test", "{PLAIN}y", "192.0.2.1", "") is not None
    await world.directory.set_disabled("alice@a.test", True)
    assert await world.sessions.begin("alice@a.test", "{PLAIN}y", "192.0.2.1", "") is None


async def test_one_account_has_so_many_sessions(world: World) -> None:
    tokens = []
    for _ in range(52):
        tokens.append(await world.begin())
        world.now += 1
    there = [await world.other().find(token) is not None for token in tokens]
    assert there == [False] * 2 + [True] * 50


def links(world: World) -> SetupLinks:
    """As after a start: nothing in memory."""
    return SetupLinks(world.database, lambda: world.now)


async def test_a_link_for_a_device_works_once_and_over_a_restart(world: World) -> None:
    await world.directory.add_app_password("alice@a.test", "phone", "digest", 0.0)
    token = await links(world).offer("alice@a.test", "phone", "the secret")
    offer = await links(world).look(token)
    assert offer is not None
    assert (offer.address, offer.label, offer.password) == ("alice@a.test", "phone", "the secret")
    assert await links(world).take(token[:-1]) is None
    assert await links(world).take("\ud800") is None
    kept = b"".join(path.read_bytes() for path in world.folder.glob("mailstack.sqlite3*"))
    assert b"setup_link" in kept
    assert token.encode() not in kept
    assert b"the secret" not in kept
    assert await links(world).take(token) == offer
    assert await links(world).take(token) is None


async def test_a_link_is_over_with_its_time_its_device_and_its_account(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.store.users.setup_links.KEPT", 3)
    address = "alice@a.test"
    await world.directory.add_app_password(address, "phone", "digest", 0.0)
    token = await links(world).offer(address, "phone", "secret")
    world.now += SECONDS
    assert await links(world).take(token) is None
    token = await links(world).offer(address, "phone", "secret")
    await world.directory.rename_account(address, parse_address("anna@a.test"), keep=False)
    found = await links(world).look(token)
    assert found is not None
    assert found.address == "anna@a.test"
    await world.directory.remove_app_password("anna@a.test", "phone")
    assert await links(world).look(token) is None
    await world.directory.add_app_password("anna@a.test", "phone", "digest", 0.0)
    first = await links(world).offer("anna@a.test", "phone", "secret")
    for _ in range(3):
        world.now += 0.1
        last = await links(world).offer("anna@a.test", "phone", "secret")
    assert await links(world).look(first) is None
    assert await links(world).look(last) is not None
    await world.directory.remove_account("anna@a.test")
    assert await links(world).look(last) is None


def test_a_pace() -> None:
    now = 0.0
    pace = Pace(burst=3, per_minute=60, clock=lambda: now)
    assert [pace.takes("a") for _ in range(4)] == [True] * 3 + [False]
    assert pace.takes("b")
    now = 1.0
    assert [pace.takes("a") for _ in range(2)] == [True, False]
    now = 100.0
    assert [pace.takes("a") for _ in range(4)] == [True] * 3 + [False]
