"""Logins: every mechanism, who is told what, and what ends with a new password."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pyotp
import pytest
import scramp

from mailstack.imap.commands import login as imap_login
from mailstack.managesieve import commands as managesieve
from mailstack.message.address import parse_address
from mailstack.policy.limits import FREE_FAILURES, Limits
from mailstack.policy.login import Channel, Denial, Denied, Login, Logins, Outcome
from mailstack.pop3 import commands as pop3
from mailstack.smtp.commands import login as smtp_login
from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users.devices import Devices
from mailstack.store.users.directory import Directory
from mailstack.store.users.passwords import PasswordChecker, hash_password, make_app_password
from mailstack.store.users.scope import OWN, SCOPES, Protocol
from mailstack.store.users.scram import Scram, ScramMode
from mailstack.store.users.second_factor import Codes, make_recovery, make_secret

CHANNEL = Channel("192.0.2.1", True, Protocol.IMAP)
BOUND = Channel("192.0.2.1", True, Protocol.IMAP, bindings={"tls-unique": b"x", "tls-server-end-point": b"y"})


class World:
    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "mailstack.sqlite3")
        self.database.start()
        self.directory = Directory(self.database, folder / "mail")
        self.scram = Scram(self.directory, ScramMode.AUTO)
        self.passwords = PasswordChecker(self.directory, scram=self.scram, wall=lambda: self.now)
        self.limits = Limits(100)
        self.now = 1000.0
        self.behind = WriteBehind(self.database)
        self.devices = Devices(self.database, self.behind)
        self.logins = Logins(
            self.directory, self.passwords, self.scram, self.limits, devices=self.devices, clock=lambda: self.now
        )
        self.challenges: list[str] = []

    async def keys(self, key: str, password: str) -> str | None:
        return self.scram.make(await self.scram.salt(key), password)

    async def add(self, address: str, password: str, *, imported: bool = False) -> None:
        scram = {} if imported else {address: await self.keys(address, password)}
        await self.directory.add_accounts([(parse_address(address), "{PLAIN}" + password, None)], 0.0, scram)

    async def by_scram(
        self, user: str, password: str, binding: tuple[str, bytes] | None = None, channel: Channel = CHANNEL
    ) -> Outcome:
        mechanism = "SCRAM-SHA-256-PLUS" if binding else "SCRAM-SHA-256"
        client = scramp.ScramClient([mechanism], user, password, channel_binding=binding)
        first = base64.b64encode(client.get_client_first().encode())
        step = 0

        async def ask(challenge: bytes) -> bytes:
            nonlocal step
            step += 1
            said = base64.b64decode(challenge).decode()
            self.challenges.append(said)
            if step == 1:
                client.set_server_first(said)
                return base64.b64encode(client.get_client_final().encode())
            client.set_server_final(said)
            return b""

        return await self.logins.sasl(mechanism, first, BOUND if binding else channel, ask)


@pytest.fixture
async def world(folder: Path) -> AsyncIterator[World]:
    one = World(folder)
    await one.directory.add_domain("a.test")
    await one.add("alice@a.test", "sesame")
    yield one
    one.passwords.close()
    await one.behind.close()
    one.database.close()


def name(found: Outcome) -> object:
    return found.account.address if isinstance(found, Login) else found.denial


def never(challenge: bytes) -> asyncio.Future[bytes]:
    raise AssertionError("nothing is asked")


async def test_scram_and_passwords_prove_the_same_account(world: World) -> None:
    assert name(await world.by_scram("Alice@A.test", "sesame")) == "alice@a.test"
    assert name(await world.logins.password(CHANNEL, "alice@a.test", "sesame")) == "alice@a.test"
    assert name(await world.by_scram("alice@a.test", "sesame", ("tls-unique", b"x"))) == "alice@a.test"
    assert name(await world.by_scram("alice@a.test", "sesame", ("tls-server-end-point", b"y"))) == "alice@a.test"
    by_binding = await world.by_scram("alice@a.test", "sesame", ("tls-unique", b"x"))
    by_command = await world.logins.password(CHANNEL, "alice@a.test", "sesame")
    assert isinstance(by_binding, Login) and isinstance(by_command, Login)  # noqa: PT018
    assert (by_binding.mechanism, by_command.mechanism) == ("SCRAM-SHA-256-PLUS", None)
    found = await world.by_scram("alice@a.test", "sesame", ("tls-unique", b"of somebody in the middle"))
    assert found == Denied(Denial.WRONG, "alice@a.test", "channel-bindings-dont-match")


async def test_nobody_learns_who_is_here(world: World) -> None:
    await world.add("bob@a.test", "sesame", imported=True)

    async def asked(user: str) -> tuple[object, list[str]]:
        world.challenges.clear()
        found = await world.by_scram(user, "wrong")
        assert isinstance(found, Denied)
        return (found.denial, found.reason), [part for said in world.challenges for part in said.split(",") if part[0] in "si"]

    answers = {user: await asked(user) for user in ("alice@a.test", "bob@a.test", "nobody@a.test", "no address")}
    assert len({str(answer) for answer, _ in answers.values()}) == 1
    assert len({len(said[0]) for _, said in answers.values()}) == 1
    assert len({said[0] for _, said in answers.values()}) == 4  # the salts
    assert len({said[1] for _, said in answers.values()}) == 1  # the iterations
    for user, before in answers.items():
        assert await asked(user) == before
    # Once the password was seen, its challenge is the one that it had before.
    assert name(await world.logins.password(CHANNEL, "bob@a.test", "sesame")) == "bob@a.test"
    assert await asked("bob@a.test") == answers["bob@a.test"]


async def test_an_imported_hash_can_be_used_once_its_password_was_seen(world: World) -> None:
    await world.add("bob@a.test", "sesame", imported=True)
    assert name(await world.by_scram("bob@a.test", "sesame")) is Denial.WRONG
    assert name(await world.logins.password(CHANNEL, "bob@a.test", "sesame")) == "bob@a.test"
    assert name(await world.by_scram("bob@a.test", "sesame")) == "bob@a.test"
    record = await world.directory.account("bob@a.test")
    assert record is not None
    assert record.password.startswith("{ARGON2ID}")


async def test_scram_is_announced_when_nobody_is_locked_out_by_it(world: World) -> None:
    strong = ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
    assert world.logins.mechanisms(CHANNEL) == strong
    assert world.logins.mechanisms(BOUND) == [*strong, "SCRAM-SHA-256-PLUS"]
    # With TLS 1.3 clients would bind to an exporter that is not there.
    assert world.logins.mechanisms(Channel("x", True, Protocol.IMAP, bindings={"tls-server-end-point": b"y"})) == strong
    assert world.logins.mechanisms(Channel("x", False, Protocol.IMAP)) == []
    await world.add("bob@a.test", "sesame", imported=True)
    assert world.logins.mechanisms(CHANNEL) == ["PLAIN", "LOGIN"]
    assert name(await world.by_scram("alice@a.test", "sesame")) == "alice@a.test"  # all the same
    await world.logins.password(CHANNEL, "bob@a.test", "sesame")
    assert world.logins.mechanisms(CHANNEL) == strong
    await world.directory.add_app_password("bob@a.test", "phone", "digest", 0.0)
    assert world.logins.mechanisms(CHANNEL) == ["PLAIN", "LOGIN"]
    world.scram.mode = ScramMode.ON
    assert world.logins.mechanisms(CHANNEL) == strong
    world.scram.mode = ScramMode.OFF
    assert world.logins.mechanisms(CHANNEL) == ["PLAIN", "LOGIN"]
    assert name(await world.by_scram("alice@a.test", "sesame")) is Denial.UNKNOWN_MECHANISM


async def test_app_passwords_by_scram(world: World) -> None:
    password, digest = make_app_password()
    await world.directory.add_app_password("alice@a.test", "phone", digest, 0.0)
    assert name(await world.by_scram("alice@a.test", password)) is Denial.WRONG
    typed = password.replace("-", " ").upper()
    assert name(await world.logins.password(CHANNEL, "alice@a.test", typed)) == "alice@a.test"
    assert name(await world.by_scram("alice@a.test", password)) == "alice@a.test"
    assert name(await world.by_scram("alice@a.test", "sesame")) == "alice@a.test"
    await world.directory.remove_app_password("alice@a.test", "phone")
    assert name(await world.by_scram("alice@a.test", password)) is Denial.WRONG


async def test_what_an_app_password_is_good_for(world: World) -> None:
    """Each scope, at each door, by both ways of proving it."""
    for scope in SCOPES:
        password, digest = make_app_password()
        keys = await world.keys("alice@a.test", password)
        await world.directory.add_app_password("alice@a.test", scope.name, digest, 0.0, keys, scope)
        for protocol in Protocol:
            channel = Channel("192.0.2.1", True, protocol)
            found = await world.logins.password(channel, "alice@a.test", password)
            by_scram = await world.by_scram("alice@a.test", password, channel=channel)
            for one in (found, by_scram):
                if protocol in scope.protocols:
                    assert isinstance(one, Login)
                    assert (one.scope, one.read_only) == (scope, scope.name == "read")
                else:
                    assert one == Denied(Denial.OUT_OF_SCOPE, "alice@a.test", f"{scope.name}: {scope.name}")
    # The account's own is good for everything, and what was remembered of one password says nothing of another.
    found = await world.logins.password(CHANNEL, "alice@a.test", "sesame")
    assert isinstance(found, Login)
    assert (found.scope, found.device) == (OWN, None)


async def test_an_app_password_expires(world: World) -> None:
    password, digest = make_app_password()
    keys = await world.keys("alice@a.test", password)
    await world.directory.add_app_password("alice@a.test", "phone", digest, 0.0, keys, expires=world.now + 60)
    assert name(await world.logins.password(CHANNEL, "alice@a.test", password)) == "alice@a.test"
    assert name(await world.by_scram("alice@a.test", password)) == "alice@a.test"
    world.now += 60
    for _ in range(FREE_FAILURES + 3):
        assert name(await world.logins.password(CHANNEL, "alice@a.test", password)) is Denial.EXPIRED
        assert name(await world.by_scram("alice@a.test", password)) is Denial.EXPIRED
    assert world.limits.delay(CHANNEL.peer, "alice@a.test") == 0  # a phone that nobody told is no attacker
    assert name(await world.logins.password(CHANNEL, "alice@a.test", "sesame")) == "alice@a.test"


async def test_the_last_use_is_kept(world: World) -> None:
    password, digest = make_app_password()
    await world.directory.add_app_password("alice@a.test", "phone", digest, 0.0)
    found = await world.logins.password(CHANNEL, "alice@a.test", password)
    assert isinstance(found, Login)
    (row,) = await world.devices.listing("alice@a.test")
    assert (row["last_used"], row["last_peer"], row["last_client"]) == (world.now, "192.0.2.1", "imap")
    world.now += 5
    world.logins.seen(found, CHANNEL, "Mail 7")
    (row,) = await world.devices.listing("alice@a.test")
    assert (row["last_used"], row["last_peer"], row["last_client"]) == (world.now, "192.0.2.1", "imap Mail 7")


async def test_a_new_password_ends_the_old_one(world: World) -> None:
    await world.directory.set_password("alice@a.test", hash_password("new"))
    assert name(await world.by_scram("alice@a.test", "sesame")) is Denial.WRONG
    await world.directory.set_password("alice@a.test", hash_password("new"), await world.keys("alice@a.test", "new"))
    assert name(await world.by_scram("alice@a.test", "new")) == "alice@a.test"
    await world.directory.set_disabled("alice@a.test", True)
    assert name(await world.by_scram("alice@a.test", "new")) is Denial.WRONG


async def test_a_password_that_changes_during_an_exchange_is_void(world: World) -> None:
    client = scramp.ScramClient(["SCRAM-SHA-256"], "alice@a.test", "sesame")
    first = base64.b64encode(client.get_client_first().encode())

    async def ask(challenge: bytes) -> bytes:
        said = base64.b64decode(challenge).decode()
        if said.startswith("v="):
            return b""
        await world.directory.set_password("alice@a.test", hash_password("new"))
        client.set_server_first(said)
        return base64.b64encode(client.get_client_final().encode())

    assert await world.logins.sasl("SCRAM-SHA-256", first, CHANNEL, ask) == Denied(Denial.WRONG, "alice@a.test", "revoked")


async def test_failures_of_all_mechanisms_slow_the_same_pair(world: World) -> None:
    for _ in range(FREE_FAILURES - 1):
        assert name(await world.by_scram("alice@a.test", "wrong")) is Denial.WRONG
    assert world.limits.delay(CHANNEL.peer, "alice@a.test") == 0
    plain = base64.b64encode(b"\0alice@a.test\0wrong")
    assert name(await world.logins.sasl("PLAIN", plain, CHANNEL, never)) is Denial.WRONG
    assert world.limits.delay(CHANNEL.peer, "alice@a.test") > 0
    assert name(await world.by_scram("alice@a.test", "sesame")) == "alice@a.test"
    assert world.limits.delay(CHANNEL.peer, "alice@a.test") == 0


async def test_what_is_denied_before_anything_is_asked(world: World) -> None:
    for mechanism in ("CRAM-MD5", "SCRAM-SHA-1", "EXTERNAL", ""):
        assert name(await world.logins.sasl(mechanism, None, CHANNEL, never)) is Denial.UNKNOWN_MECHANISM
    for mechanism in ("PLAIN", "LOGIN", "SCRAM-SHA-256"):
        assert name(await world.logins.sasl(mechanism, None, Channel("x", False, Protocol.IMAP), never)) is Denial.NO_TLS
    assert name(await world.logins.password(Channel("x", False, Protocol.IMAP), "alice@a.test", "sesame")) is Denial.NO_TLS
    other = base64.b64encode(b"bob@a.test\0alice@a.test\0sesame")
    assert name(await world.logins.sasl("PLAIN", other, CHANNEL, never)) is Denial.OTHER_IDENTITY
    other = base64.b64encode(b"n,a=bob@a.test,n=alice@a.test,r=x")
    assert name(await world.logins.sasl("SCRAM-SHA-256", other, CHANNEL, never)) is Denial.OTHER_IDENTITY
    assert name(await world.logins.sasl("PLAIN", b"%", CHANNEL, never)) is Denial.MALFORMED
    assert name(await world.logins.sasl("PLAIN", b"*", CHANNEL, never)) is Denial.CANCELLED


def test_every_door_has_an_answer_to_every_denial() -> None:
    for answers in (smtp_login.REPLIES, imap_login.ANSWERS, pop3.ANSWERS, managesieve.ANSWERS):
        assert set(answers) == set(Denial)


async def test_with_one_time_codes_mail_programs_need_app_passwords(world: World) -> None:
    """The password alone would be enough there: nobody is asked for a code."""
    secret, web = make_secret(), Channel("192.0.2.1", True, Protocol.WEB)
    await world.directory.prepare_second_factor("alice@a.test", secret)
    assert name(await world.logins.password(CHANNEL, "alice@a.test", "sesame")) == "alice@a.test", "it does not count yet"
    await world.directory.confirm_second_factor("alice@a.test", pyotp.TOTP(secret).at(1000), 1000.0, make_recovery())
    assert name(await world.logins.password(CHANNEL, "alice@a.test", "sesame")) is Denial.NEEDS_DEVICE
    assert name(await world.by_scram("alice@a.test", "sesame")) is Denial.NEEDS_DEVICE
    assert name(await world.logins.password(CHANNEL, "alice@a.test", "wrong")) is Denial.WRONG
    assert name(await world.logins.password(web, "alice@a.test", "sesame")) == "alice@a.test"
    password, digest = make_app_password()
    await world.directory.add_app_password("alice@a.test", "phone", digest, 0.0, await world.keys("alice@a.test", password))
    assert name(await world.logins.password(CHANNEL, "alice@a.test", password)) == "alice@a.test"
    assert name(await world.by_scram("alice@a.test", password)) == "alice@a.test"


async def test_wrong_codes_are_counted_and_recovery_codes_still_help(world: World) -> None:
    secret, recovery = make_secret(), make_recovery()
    await world.directory.prepare_second_factor("alice@a.test", secret)
    await world.directory.confirm_second_factor("alice@a.test", pyotp.TOTP(secret).at(1000), 1000.0, recovery)
    codes, world.now = Codes(world.database, lambda: world.now), 2000.0
    right = pyotp.TOTP(secret).at(2000)
    wrong = next(text for text in ("000000", "111111") if text != right)
    for _ in range(10):
        assert not await codes.take("alice@a.test", wrong)
    assert not await codes.take("alice@a.test", right), "somebody guesses"
    assert await codes.take("alice@a.test", recovery[0])
    world.now += 3600
    assert await codes.take("alice@a.test", pyotp.TOTP(secret).at(world.now + 30)), "a clock that is fast"
    assert not await codes.take("alice@a.test", pyotp.TOTP(secret).at(world.now)), "older than one that was taken"
