"""Attackers are shut out, and nobody who is beside them."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from mailstack.policy.bans import GOOD_SECONDS, Bans, BanSettings
from mailstack.policy.limits import Limits
from mailstack.policy.login import Channel, Denial, Denied, Login, Logins
from mailstack.policy.nat import Nat
from mailstack.policy.networks import client_of, parse_network
from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users.bans import BanTable
from mailstack.store.users.scope import Protocol
from tests.policy.test_login import World as LoginWorld

ATTACKER, HOME, OFFICE = "203.0.113.9", "198.51.100.7", "192.0.2.1"
SETTINGS = BanSettings(failures=10, clients=4)


class World:
    def __init__(self, folder: Path) -> None:
        self.now = 1_000_000.0
        self.database = Database(folder / "mailstack.sqlite3")
        self.database.start()
        self.behind = WriteBehind(self.database, 0.0)
        self.limits = Limits(100, Nat(frozenset({"172.17.0.1"})), clock=self.clock)
        self.bans = self.again()

    def clock(self) -> float:
        return self.now

    def again(self) -> Bans:
        bans = Bans(BanTable(self.database, self.behind), self.clock)
        bans.settings, bans.limits = SETTINGS, self.limits
        return bans

    def guess(self, peer: str, times: int = 1, start: int = 0, user: str = "alice@a.test") -> None:
        for number in range(start, start + times):
            self.bans.failed(peer, user, b"%d" % number)


@pytest.fixture
async def world(folder: Path) -> AsyncIterator[World]:
    one = World(folder)
    yield one
    await one.behind.close()
    one.database.close()


async def test_a_guesser_is_banned_each_time_for_longer(world: World) -> None:
    lasted = []
    for _ in range(8):
        with capture_logs() as events:
            world.guess(ATTACKER, 9)
            assert not world.bans.refuses(ATTACKER)
            world.guess(ATTACKER, 3, 9)
        # Told once, whatever else comes from there.
        (event,) = [one for one in events if one["event"] == "login.banned"]
        assert (event["network"], event["users"]) == (f"{ATTACKER}/32", ["alice@a.test"])
        assert world.bans.refuses(ATTACKER)
        assert not world.bans.refuses("203.0.113.10")
        lasted.append(event["seconds"])
        world.now += event["seconds"] - 1
        assert world.bans.refuses(ATTACKER)
        world.now += 2
        assert not world.bans.refuses(ATTACKER)
    assert lasted[:4] == [600, 2400, 9600, 38400]
    assert lasted[-1] == SETTINGS.longest
    world.now += SETTINGS.longest + 1
    world.guess(ATTACKER, 10)
    assert [ban.level for ban in world.bans.listing()] == [0]


async def test_failures_are_forgotten_with_time(world: World) -> None:
    for number in range(100):
        world.guess(ATTACKER, 1, number)
        world.now += SETTINGS.window / SETTINGS.failures + 1
    assert not world.bans.refuses(ATTACKER)


async def test_a_device_with_its_old_password_is_no_guesser(world: World) -> None:
    for _ in range(1000):
        world.bans.failed(HOME, "alice@a.test", b"the old one")
        world.now += 1
    assert not world.bans.refuses(HOME)


async def test_a_spray_from_many_addresses_of_a_network(world: World) -> None:
    """Each address tries less than would ban it, and each account once or twice."""
    world.bans.succeeded("203.0.113.77", "carol@a.test")  # a customer of the same provider
    world.limits.connected("203.0.113.78")
    world.limits.disconnected("203.0.113.78")  # who is logged in
    chance = random.Random(7)
    peers = [f"203.0.113.{number}" for number in range(1, 60)]
    for step in range(300):
        world.guess(chance.choice(peers), 1, step, f"user{step}@a.test")
        world.now += 5
    assert world.bans.refuses("203.0.113.200"), "the whole network"
    assert any(ban.network == "203.0.113.0/24" for ban in world.bans.listing())
    assert not world.bans.refuses("203.0.114.1")
    assert not world.bans.refuses("203.0.113.77")
    assert not world.bans.refuses("203.0.113.78")
    world.limits.closed("203.0.113.78")
    assert world.bans.refuses("203.0.113.78")


async def test_ipv6_clients_choose_their_addresses(world: World) -> None:
    for number in range(10):
        world.guess(f"2001:db8:1:2::{number:x}", 1, number)
    assert world.bans.refuses("2001:db8:1:2:ffff::1")
    assert not world.bans.refuses("2001:db8:1:3::1")
    for number in range(16, 20):
        world.guess(f"2001:db8:9:{number:x}::1", 3)
    assert world.bans.refuses("2001:db8:9:ffff::1"), "the /48"
    assert not world.bans.refuses("2001:db8:a::1")
    assert client_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert client_of("2001:db8::1") == client_of("2001:db8::2") == "2001:db8::/64"
    assert [client_of(text) for text in ("local", "", "x:y")] == ["local", "", "x:y"]


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "172.17.0.1", "local", ""])
async def test_who_is_never_banned(world: World, peer: str) -> None:
    world.guess(peer, 100)
    assert not world.bans.refuses(peer)
    assert world.bans.listing() == []


async def test_networks_that_the_admin_spares(world: World) -> None:
    world.bans.settings = BanSettings(failures=3, exempt=(parse_network("198.51.100.0/24"),))
    world.guess(HOME, 100)
    world.guess(OFFICE, 100)
    assert not world.bans.refuses(HOME)
    assert world.bans.refuses(OFFICE)
    world.bans.settings = BanSettings(failures=0)
    world.guess(ATTACKER, 100)
    assert not world.bans.refuses(ATTACKER)


async def test_an_address_where_somebody_is_logged_in(world: World) -> None:
    world.limits.connected(HOME)
    world.limits.disconnected(HOME)
    world.guess(HOME, 100)
    assert not world.bans.refuses(HOME)
    world.limits.closed(HOME)
    world.guess(HOME, 10)
    assert world.bans.refuses(HOME)


async def test_a_gateway_that_others_share(world: World) -> None:
    world.bans.succeeded(OFFICE, "bob@a.test")
    world.guess(OFFICE, 100)  # at alice's
    assert not world.bans.refuses(OFFICE)
    world.guess(OFFICE, 9, user="Bob@a.test")  # his own success does not speak for his failures
    assert not world.bans.refuses(OFFICE)
    world.guess(OFFICE, 1, 9, user="Bob@a.test")
    assert world.bans.refuses(OFFICE)
    world.now += GOOD_SECONDS + 1
    world.guess(OFFICE, 10)
    assert world.bans.refuses(OFFICE)


async def test_bans_survive_a_restart(world: World) -> None:
    world.guess(ATTACKER, 10)
    await world.bans.add(parse_network("192.0.2.0/24"), None, "enough")
    bans = world.again()
    await bans.start()
    assert bans.refuses(ATTACKER)
    assert bans.refuses(OFFICE)
    assert not bans.refuses(HOME)
    assert [ban.network for ban in await bans.remove(parse_network(ATTACKER))] == [f"{ATTACKER}/32"]
    assert not bans.refuses(ATTACKER)
    again = world.again()
    await again.start()
    assert [ban.network for ban in again.listing()] == ["192.0.2.0/24"]
    # A short one and its level: the next one is longer all the same.
    world.bans = again
    world.guess(HOME, 10)
    await world.behind.flush()
    world.now += 601
    world.bans = world.again()
    await world.bans.start()
    assert not world.bans.refuses(HOME)
    world.guess(HOME, 10)
    assert [ban.level for ban in world.bans.listing() if ban.network == f"{HOME}/32"] == [1]


async def test_an_admins_word(world: World) -> None:
    world.bans.succeeded(OFFICE, "bob@a.test")
    await world.bans.add(parse_network("192.0.2.0/24"), 60.0, "enough")
    assert world.bans.refuses(OFFICE)
    world.now += 61
    assert not world.bans.refuses(OFFICE)
    for text in ("127.0.0.1", "0.0.0.0/0", "::1", "::/0"):
        with pytest.raises(ValueError, match="this machine"):
            await world.bans.add(parse_network(text), None, "")
    with pytest.raises(ValueError, match="neither an address"):
        parse_network("x")
    # To lift a part lifts the whole; what was counted is forgotten.
    await world.bans.add(parse_network("192.0.2.0/24"), None, "")
    world.guess(HOME, 9)
    await world.bans.remove(parse_network(OFFICE))
    await world.bans.remove(parse_network(HOME))
    world.guess(HOME, 9)
    assert not world.bans.refuses(OFFICE)
    assert not world.bans.refuses(HOME)


async def test_memory_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.policy.bans.REMEMBERED", 100)
    monkeypatch.setattr("mailstack.policy.bans.BANS_LIMIT", 50)
    for number in range(300):
        world.guess(f"10.{number // 250}.{number % 250}.1", 4)
        world.bans.succeeded(f"10.{number // 250}.{number % 250}.2", "bob@a.test")
    structlog.reset_defaults()
    for number in range(120):
        world.guess(f"11.0.{number}.1", 10)
    bans = world.bans
    for held, limit in ((bans._clients, 100), (bans._networks, 100), (bans._good, 100), (bans._bans, 50)):
        assert len(held) <= limit
    assert world.bans.refuses("11.0.119.1")


async def test_logins_ask(folder: Path) -> None:
    """Through the one way in: right passwords count for the address, wrong ones against it, and a ban is before all."""
    one = LoginWorld(folder)
    await one.directory.add_domain("a.test")
    await one.add("alice@a.test", "sesame")
    bans = Bans(BanTable(one.database, one.behind))
    bans.settings, bans.limits = BanSettings(failures=4), one.limits
    logins = Logins(one.directory, one.passwords, one.scram, one.limits, bans=bans)
    attacker = Channel(ATTACKER, True, Protocol.IMAP)
    for number in range(4):
        assert not logins.refuses(ATTACKER)
        found = await logins.password(attacker, f"user{number}@a.test", "spring2026")
        assert isinstance(found, Denied)
    assert logins.refuses(ATTACKER)
    assert await logins.password(attacker, "alice@a.test", "sesame") == Denied(Denial.BANNED, "alice@a.test")

    async def ask(_: bytes) -> bytes:
        raise AssertionError

    assert await logins.sasl("PLAIN", None, attacker, ask) == Denied(Denial.BANNED)
    home = Channel(HOME, True, Protocol.IMAP)
    assert isinstance(await logins.password(home, "alice@a.test", "sesame"), Login)
    for _ in range(8):  # and a phone of hers that knows the password of last year
        await logins.password(Channel(OFFICE, True, Protocol.SMTP), "alice@a.test", "last year's")
        one.limits.succeeded(OFFICE, "alice@a.test")  # so that this test need not wait
    assert not logins.refuses(OFFICE)
    one.passwords.close()
    await one.behind.close()
    one.database.close()
