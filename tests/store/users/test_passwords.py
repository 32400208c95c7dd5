"""Passwords: what is proved, how often it is hashed, and what voids a proof."""

import asyncio
import base64
import hashlib
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mailstack.message.address import parse_address
from mailstack.store.database import Database
from mailstack.store.users import passwords
from mailstack.store.users.directory import Directory, DirectoryProblem
from mailstack.store.users.passwords import (
    PROOF_SECONDS,
    WAITING_EACH,
    PasswordChecker,
    Refusal,
    app_digest,
    check_hash,
    hash_password,
    known_scheme,
    make_app_password,
)

# Made by `doveadm pw -s SCHEME -p 'pa55 wörd'` (Dovecot 2.3.19).
HASHES = (
    "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$s/djHKg4N+LXHaMS0f7Fmw$eQVTVR7uZ01CMDHumhKwUno6WnL1ZrPqtyaV1NpEKKE",
    "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$TvKLhIvVo2yMQwk+eCmSnw$Lx0hET1lVkh+98tFD/mP3XUNkFJ+nLl8NLWOEdouHkg",
    "{PLAIN}pa55 wörd",
    "{CLEARTEXT}pa55 wörd",
    "{CRYPT}$2y$05$nhc/fpTvlW7OWAj3JdVpp.dggc5xiHFMNsUFQO7E.uo.Pe.2JZWpK",
    "{SHA512-CRYPT}$6$ObnOIvUbciMNlAgA$ywuw6hmYR/7E72/m1qZgky/M825H5kTZJhK4C76NpC4yptkS2BUUgZgVm2eIN.nv..XGEaGyWbRRO.jDO2ZNA0",
    "{SHA256-CRYPT}$5$t4TkfnaVHBzaTOnt$G5JfNF9dIzDKwZ2iY.972oeTAGYgWTixbYHdi3t4om9",
    "{MD5-CRYPT}$1$/Hz2mxjt$upU/1dVhroJclyQmjqmP//",
    "{BLF-CRYPT}$2y$05$R4TejLBtvIt0NC8LSeNZ0O2HqLOO6pZ14Q6MLOOAteehG4hp9w/ti",
    "{SSHA}DXHO5THEfuZpJckzcLmJsmbQRnpQlKqU",
    "{SSHA256}Mq9C2aP/rXwTCumjbyJmOJML5NEphBRVeDpuasE6RD5lpFdb",
    "{SSHA512}34qkj3+5sCaaPr/+gXQZ6AqwfOtF/gcpQFYofrrMAz+pMkMnRvxvcaqbeml3iGaV0n1hjX1R3dLIxSvkLqqS8rmYQQY=",
    "{SMD5}5xnCoKQgRS1lJ0FL+Aw5eq2RRD8=",
    "{SHA}00br2jWfWEQjpXcFuVoAVGH6lhk=",
    "{SHA1}00br2jWfWEQjpXcFuVoAVGH6lhk=",
    "{LDAP-MD5}vvDZMR7NAcUzHitrbfgA6g==",
    "{PLAIN-MD5}bef0d9311ecd01c5331e2b6b6df800ea",
    "{SHA256}2mq6M8nERlMNKSitcpbDn6KvyXXGxWrlCUgUJqJKSAk=",
    "{SHA512}uZxu0i5ZYsNvaR/wb0OQq5xaKh+hYnrlLWzp8c6DzKmr2LrCGIyquYi0PneOZ1WSN+iUBHLFmiEALm1n7RL/Dg==",
    "{DES-CRYPT}JjllS2wA3/PpY",
    "{MD5}$1$CWpotovN$6sifFZy4a9urAbpdNllfI/",
    "{PBKDF2}$1$EzOm/FCS0UW2gv26$5000$deae38d7930f4f0b3fa10dbd998e7fb30abc51ac",
)
LONG = "{BLF-CRYPT}$2y$05$MUZkPAQD4sAgAbNj69x8Tu2ZOR3gguYgPbllLIJ5V9NvYUntY5x9e"  # of 80 times y
ODD = (
    "", "x", "{}", "{NONE}x", "{ARGON2ID}", "{ARGON2ID}$argon2id$v=19$m=1,t=1,p=1$x$y", "{CRYPT}", "{CRYPT}*",
    "{CRYPT}$2y$99$x",
    "{CRYPT}$6$", "{CRYPT}$7$abc", "{SHA512-CRYPT}$5$a$b", "{BLF-CRYPT}$2y$05$short", "{BLF-CRYPT}\xff", "{SSHA}%%%",
    "{SSHA}eA==",
    "{SSHA512}", "{SHA}", "{LDAP-MD5}zzz", "{PLAIN-MD5}zz", "{PBKDF2}$1$a$x$y", "{PBKDF2}$1$a", "{PBKDF2}$1$a$-1$y",
    "{SHA256}\ud800",
    "{MD5-CRYPT}$1$\0$x", "{SMD5}AAAA", "{PLAIN}\udcff", "{DES-CRYPT}a", "{SHA1.HEX}00",
)  # fmt: skip


@pytest.mark.parametrize("hashed", HASHES, ids=lambda hashed: hashed.partition("}")[0][1:])
def test_a_hash_that_dovecot_made(hashed: str) -> None:
    assert known_scheme(hashed)
    assert check_hash("pa55 wörd", hashed)
    assert not check_hash("Pa55 wörd", hashed)
    assert not check_hash("", hashed)


def test_every_scheme_has_its_hash() -> None:
    assert {hashed.partition("}")[0][1:] for hashed in HASHES} == set(passwords._CHECKS)


def test_bcrypt_reads_72_octets() -> None:
    assert check_hash("y" * 80, LONG)
    assert check_hash("y" * 72 + "z", LONG)
    assert not check_hash("y" * 71, LONG)
    assert not check_hash("y" * 71 + "z", LONG)


@pytest.mark.parametrize("hashed", ODD)
@pytest.mark.parametrize("password", ["x", "", "y" * 200, "\udc80", "\0"])
def test_odd_hashes_are_never_right_and_never_raise(hashed: str, password: str) -> None:
    if hashed != "{PLAIN}" + password:
        assert check_hash(password, hashed) is False


def test_an_encoding_that_is_not_read_is_refused_at_the_import() -> None:
    assert not known_scheme("{SSHA.HEX}00")
    assert not known_scheme("{SCRAM-SHA-256}4096,a,b,c")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Hashes:
    """Counts what is hashed, and holds it back while `gate` is closed."""

    def __init__(self, check: Callable[[str, str], bool]) -> None:
        self.check = check
        self.done: list[str] = []
        self.at_once = self.most = 0
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Semaphore(0)
        self.lock = threading.Lock()

    def __call__(self, password: str, hashed: str) -> bool:
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.begun.release()
        assert self.gate.wait(20)
        try:
            return self.check(password, hashed)
        finally:
            with self.lock:
                self.at_once -= 1
                self.done.append(hashed)


class Users:
    def __init__(self, folder: Path, hashes: Hashes) -> None:
        self.clock = Clock()
        self.hashes = hashes
        self.database = Database(folder / "mailstack.sqlite3")
        self.database.start()
        self.directory = Directory(self.database, folder / "mail")
        self.checker = PasswordChecker(self.directory, self.clock)

    async def add(self, address: str, hashed: str) -> None:
        await self.directory.add_accounts([(parse_address(address), hashed, None)], 0.0)

    async def password(self, key: str) -> str:
        record = (await self.directory.entry(key)).account
        assert record is not None
        return record.password


@pytest.fixture
async def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Users]:
    hashes = Hashes(check_hash)
    monkeypatch.setattr(passwords, "check_hash", hashes)
    some = Users(tmp_path, hashes)
    await some.directory.add_domain("a.test")
    await some.directory.add_domain("xn--mller-kva.test")
    await some.add("alice@a.test", hash_password("secret"))
    yield some
    hashes.gate.set()
    some.checker.close()
    some.database.close()


async def begun(users: Users) -> None:
    """Until a hash is being made."""
    assert await asyncio.to_thread(users.hashes.begun.acquire, timeout=20)


async def right(users: Users, login: str, password: str) -> bool:
    found = await users.checker.verify(login, password)
    if isinstance(found, Refusal):
        assert found is Refusal.WRONG
        return False
    return True


async def test_right_and_wrong(users: Users) -> None:
    assert await right(users, "alice@a.test", "secret")
    assert await right(users, "ALICE@A.Test", "secret")
    for login, password in (
        ("alice@a.test", "Secret"), ("alice@a.test", ""), ("bob@a.test", "secret"), ("alice", "secret"), ("", ""),
        ("alice@a.test", "secret\0"), ("alice@a.test", "s" * 5000), ("@", "x"), ("\udcff@a.test", "x"),
        ("alice@a.test", "\udcff"),
        ("a" * 400 + "@a.test", "x"), ("<alice@a.test>", "secret"), ("@a.test", "secret"),
    ):  # fmt: skip
        assert not await right(users, login, password)


async def test_an_unknown_and_a_disabled_user_cost_the_same(users: Users) -> None:
    await users.add("gone@a.test", hash_password("secret"))
    await users.directory.set_disabled("gone@a.test", True)
    for login in ("alice@a.test", "nobody@a.test", "gone@a.test", "nobody@b.test", "no address", "@a.test"):
        users.hashes.done.clear()
        assert not await right(users, login, "wrong")
        assert [hashed.partition("$v=19$m=19456,t=2,p=1$")[0] for hashed in users.hashes.done] == ["{ARGON2ID}$argon2id"]
    assert not await right(users, "gone@a.test", "secret")


async def test_a_quick_hash_from_elsewhere_tells_no_more(users: Users) -> None:
    for name in ("quick", "gone"):
        await users.add(f"{name}@a.test", "{SHA256}" + base64.b64encode(hashlib.sha256(b"secret").digest()).decode())
    await users.directory.set_disabled("gone@a.test", True)
    for login, password in (("quick@a.test", "wrong"), ("gone@a.test", "wrong"), ("gone@a.test", "secret")):
        users.hashes.done.clear()
        assert not await right(users, login, password)
        assert users.hashes.done[-1].startswith("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$")
    users.hashes.done.clear()
    assert await right(users, "quick@a.test", "secret")
    assert len(users.hashes.done) == 1


async def test_a_proof_is_remembered_for_a_while(users: Users) -> None:
    for _ in range(5):
        assert await right(users, "alice@a.test", "secret")
    assert len(users.hashes.done) == 1
    assert not await right(users, "alice@a.test", "other")
    assert len(users.hashes.done) == 2
    assert await right(users, "Alice@a.test", "secret")
    assert len(users.hashes.done) == 2
    users.clock.now += PROOF_SECONDS + 1
    assert await right(users, "alice@a.test", "secret")
    assert len(users.hashes.done) == 3


@pytest.mark.parametrize("change", ["password", "disabled", "removed"])
async def test_what_changes_while_a_password_is_hashed_counts(users: Users, change: str) -> None:
    users.hashes.gate.clear()
    task = asyncio.create_task(users.checker.verify("alice@a.test", "secret"))
    await begun(users)
    if change == "password":
        await users.directory.set_password("alice@a.test", hash_password("new"))
    elif change == "disabled":
        await users.directory.set_disabled("alice@a.test", True)
    else:
        await users.directory.remove_account("alice@a.test")
    users.hashes.gate.set()
    assert await task is Refusal.WRONG
    assert not await right(users, "alice@a.test", "secret")
    assert await right(users, "alice@a.test", "new") == (change == "password")


@pytest.mark.parametrize("change", ["password", "disabled", "removed"])
async def test_a_change_voids_what_was_proved(users: Users, change: str) -> None:
    assert await right(users, "alice@a.test", "secret")
    if change == "password":
        await users.directory.set_password("alice@a.test", hash_password("new"))
    elif change == "disabled":
        await users.directory.set_disabled("alice@a.test", True)
    else:
        await users.directory.remove_account("alice@a.test")
    assert not await right(users, "alice@a.test", "secret")


async def test_an_imported_hash_is_made_anew_at_the_first_login(users: Users) -> None:
    for number, hashed in enumerate(HASHES):
        await users.add(f"u{number}@a.test", hashed)
        assert await right(users, f"u{number}@a.test", "pa55 wörd"), hashed
        better = await users.password(f"u{number}@a.test")
        assert better.startswith("{ARGON2ID}")
        assert check_hash("pa55 wörd", better)
        assert await right(users, f"u{number}@a.test", "pa55 wörd")


async def test_making_it_anew_never_undoes_a_change(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    await users.add("old@a.test", "{PLAIN}secret")
    gate, hashing = threading.Event(), threading.Event()

    def slow(password: str) -> str:
        hashing.set()
        assert gate.wait(20)
        return hash_password(password)

    monkeypatch.setattr(passwords, "hash_password", slow)
    task = asyncio.create_task(users.checker.verify("old@a.test", "secret"))
    assert await asyncio.to_thread(hashing.wait, 20)
    await users.directory.set_password("old@a.test", hash_password("new"))
    gate.set()
    assert await task is Refusal.WRONG
    assert check_hash("new", await users.password("old@a.test"))


async def test_one_hash_at_a_time_for_an_address_however_it_is_spelled(users: Users) -> None:
    spellings = ("alice@a.test", "ALICE@a.test", "alice@A.TEST", '"alice"@a.test', "Alice@a.Test")
    await asyncio.gather(*(users.checker.verify(spelling, f"guess{n}") for n, spelling in enumerate(spellings * 3)))
    assert len(users.hashes.done) == 15
    assert users.hashes.most == 1
    assert not users.checker._turns


async def test_a_turn_stays_one_turn_while_others_come_and_go(users: Users) -> None:
    """Those that come just when a turn is given up wait like the others."""

    async def late(number: int) -> None:
        for step in range(4):
            await users.checker.verify("alice@a.test", f"guess{number}-{step}")

    await asyncio.gather(*(late(number) for number in range(4)))
    assert users.hashes.most == 1


async def test_many_guesses_at_one_account_keep_nobody_else_out(users: Users) -> None:
    await users.add("bob@a.test", hash_password("secret"))
    users.hashes.gate.clear()
    guesses = [asyncio.create_task(users.checker.verify("alice@a.test", f"guess{n}")) for n in range(WAITING_EACH + 30)]
    await begun(users)
    other = asyncio.create_task(users.checker.verify("bob@a.test", "secret"))
    await begun(users)
    users.hashes.gate.set()
    answers = await asyncio.gather(*guesses)
    assert answers.count(Refusal.BUSY) == 30
    assert not isinstance(await other, Refusal)


async def test_the_queue_is_bounded(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAITING", 5)
    users.hashes.gate.clear()
    tasks = [asyncio.create_task(users.checker.verify(f"u{number}@a.test", "x")) for number in range(9)]
    await begun(users)
    users.hashes.gate.set()
    answers = await asyncio.gather(*tasks)
    assert answers.count(Refusal.BUSY) == 4
    assert users.hashes.most <= passwords.THREADS
    assert await right(users, "alice@a.test", "secret")


async def test_app_passwords(users: Users) -> None:
    text, digest = make_app_password()
    await users.directory.add_app_password("alice@a.test", "phone", digest, 0.0)
    with pytest.raises(DirectoryProblem):
        await users.directory.add_app_password("alice@a.test", "phone", make_app_password()[1], 0.0)
    await users.add("bob@a.test", hash_password("secret"))
    assert await right(users, "alice@a.test", text)
    assert await right(users, "alice@a.test", text.replace("-", " ").upper())
    assert not users.hashes.done, "an app password costs no hash"
    assert not await right(users, "bob@a.test", text)
    assert await right(users, "alice@a.test", "secret")
    await users.directory.set_disabled("alice@a.test", True)
    assert not await right(users, "alice@a.test", text)
    await users.directory.set_disabled("alice@a.test", False)
    assert await right(users, "alice@a.test", text)
    ended: list[str] = []
    users.directory.on_revoked.append(ended.append)
    await users.directory.remove_app_password("alice@a.test", "phone")
    assert ended == ["alice@a.test"]
    assert not await right(users, "alice@a.test", text)
    assert await right(users, "alice@a.test", "secret")


async def test_a_password_of_28_characters_is_a_password_too(users: Users) -> None:
    await users.add("long@a.test", hash_password("x" * 28))
    assert await right(users, "long@a.test", "x" * 28)


def test_app_passwords_are_random_and_kept_as_digests() -> None:
    made = {make_app_password() for _ in range(50)}
    assert len(made) == 50
    for text, digest in made:
        assert app_digest(text) == digest
        assert text.replace("-", "") not in digest


async def test_one_address_in_all_its_spellings_is_one_account(users: Users) -> None:
    """NFC and NFD, case, U-labels and A-labels."""
    await users.add("J\u00f6rg@m\u00fcller.test", hash_password("secret"))
    for login in ("jo\u0308rg@m\u00fcller.test", "J\u00d6RG@xn--mller-kva.test", "j\u00f6rg@MU\u0308LLER.TEST"):
        assert await right(users, login, "secret"), login
    assert len(users.hashes.done) == 1
