"""Proving passwords: Argon2id in two threads, imported hashes once, app passwords first, and a short memory of proofs."""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

import argon2
from argon2.exceptions import Argon2Error, InvalidHashError
from passlib import hash as schemes

from mailstack.store.users.directory import AccountRecord, Directory

THREADS = 2
WAITING = 200  # proofs that may wait; more are told to come again
PROOF_SECONDS = 300.0
PROOFS = 20_000
LONGEST = 1000
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# What an unknown user's password is compared with, so that it costs the same.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$Gpz1ZcWmY0BqXK1VJcvwfYNkvQyTiQ4FTMwS0MzUGt0"
_SCHEME = re.compile(r"\{([A-Za-z0-9.-]+)\}(.*)", re.DOTALL)
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class Refusal(Enum):
    WRONG = "wrong"  # unknown, disabled or wrong password: never told apart
    BUSY = "busy"  # too many wait; come again


@dataclass(slots=True)
class _Proof:
    digest: bytes
    generation: int
    until: float
    account: str


def hash_password(password: str) -> str:
    """Blocking (some 20 ms): a hash as the user table keeps it."""
    return "{ARGON2ID}" + _HASHER.hash(password)


def make_password() -> str:
    """A random one that can be typed: 20 characters, 98 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


def make_app_password() -> tuple[str, str]:
    """128 random bits as text, and the digest that is kept."""
    number = secrets.randbits(130)
    letters = []
    for _ in range(28):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    text = "".join(letters)
    return "-".join(text[place : place + 4] for place in range(0, 28, 4)), app_digest(text)


def app_digest(text: str) -> str:
    return hashlib.sha256(text.replace("-", "").replace(" ", "").lower().encode()).hexdigest()


def known_scheme(hashed: str) -> bool:
    """Whether an imported hash can be checked."""
    found = _SCHEME.fullmatch(hashed)
    return found is not None and found[1].upper().partition(".")[0] in _CHECKS


def _argon(password: str, hashed: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (Argon2Error, InvalidHashError):
        return False


def _passlib(name: str, ident: str = "") -> Callable[[str, str], bool]:
    def check(password: str, hashed: str) -> bool:
        return bool(getattr(schemes, name).verify(password, ident + hashed))

    return check


def _plain(password: str, hashed: str) -> bool:
    return hmac.compare_digest(password.encode(), hashed.encode())


def _crypt(password: str, hashed: str) -> bool:
    """A hash as the system writes it: the sign tells the scheme."""
    for sign, name in (("$6$", "sha512_crypt"), ("$5$", "sha256_crypt"), ("$1$", "md5_crypt"), ("$2", "bcrypt")):
        if hashed.startswith(sign):
            return bool(getattr(schemes, name).verify(password, hashed))
    if hashed.startswith("$argon2"):
        return _argon(password, hashed)
    return bool(getattr(schemes, "des_crypt").verify(password, hashed))  # noqa: B009 - made at run time by the library


_CHECKS: dict[str, Callable[[str, str], bool]] = {
    "ARGON2ID": _argon,
    "ARGON2I": _argon,
    "PLAIN": _plain,
    "CLEARTEXT": _plain,
    "CRYPT": _crypt,
    "SHA512-CRYPT": _passlib("sha512_crypt"),
    "SHA256-CRYPT": _passlib("sha256_crypt"),
    "MD5-CRYPT": _passlib("md5_crypt"),
    "BLF-CRYPT": _passlib("bcrypt"),
    "SSHA": _passlib("ldap_salted_sha1", "{SSHA}"),
    "SSHA256": _passlib("ldap_salted_sha256", "{SSHA256}"),
    "SSHA512": _passlib("ldap_salted_sha512", "{SSHA512}"),
    "SMD5": _passlib("ldap_salted_md5", "{SMD5}"),
    "SHA": _passlib("ldap_sha1", "{SHA}"),
    "SHA1": _passlib("ldap_sha1", "{SHA}"),
    "LDAP-MD5": _passlib("ldap_md5", "{MD5}"),
    "PLAIN-MD5": _passlib("hex_md5"),
}


def check_hash(password: str, hashed: str) -> bool:
    """Blocking. Odd hashes are never right and never raise."""
    found = _SCHEME.fullmatch(hashed)
    if found is None:
        return False
    check = _CHECKS.get(found[1].upper().partition(".")[0])
    try:
        return check is not None and check(password, found[2])
    except (ValueError, TypeError, UnicodeError):
        return False


class PasswordChecker:
    """One for the server. verify() never raises for what a client sends."""

    def __init__(self, directory: Directory, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="password")
        self._waiting = 0
        self._locks: dict[str, asyncio.Lock] = {}
        self._proofs: OrderedDict[str, _Proof] = OrderedDict()
        directory.on_revoked.append(self.forget)

    def forget(self, account: str) -> None:
        """Void what was proved for an account."""
        for login in [login for login, proof in self._proofs.items() if proof.account == account]:
            del self._proofs[login]

    def _digest(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode("utf-8", "surrogateescape"), "sha256")

    async def verify(self, login: str, password: str) -> AccountRecord | Refusal:
        """The account whose password this is, or why not."""
        if len(password) > LONGEST or len(login) > 320 or "\0" in password:
            return Refusal.WRONG
        login = login.lower()
        digest = self._digest(password)
        proved = await self._remembered(login, digest)
        if proved is not None:
            return proved
        if self._waiting >= WAITING:
            return Refusal.BUSY
        self._waiting += 1
        lock = self._locks.setdefault(login, asyncio.Lock())
        try:
            async with lock:
                proved = await self._remembered(login, digest)
                return proved if proved is not None else await self._prove(login, password, digest)
        finally:
            self._waiting -= 1
            if not lock.locked():
                self._locks.pop(login, None)

    async def _remembered(self, login: str, digest: bytes) -> AccountRecord | None:
        proof = self._proofs.get(login)
        if proof is None:
            return None
        if proof.until < self._clock():
            del self._proofs[login]
            return None
        if not hmac.compare_digest(proof.digest, digest):
            return None
        record = await self._directory.account(login)
        return record if record is not None and not record.disabled else None

    async def _prove(self, login: str, password: str, digest: bytes) -> AccountRecord | Refusal:
        record = await self._directory.account(login)
        looks_like_app = len(password.replace("-", "").replace(" ", "")) == 28
        if record is not None and not record.disabled and looks_like_app:
            owner = await self._directory.app_password(app_digest(password))
            if owner == record.address:
                self._remember(login, digest, record)
                return record
        loop = asyncio.get_running_loop()
        hashed = record.password if record is not None else "{ARGON2ID}" + _NOBODY
        right = await loop.run_in_executor(self._executor, check_hash, password, hashed)
        if not right or record is None or record.disabled:
            return Refusal.WRONG
        if not record.password.startswith("{ARGON2ID}"):
            better = await loop.run_in_executor(self._executor, hash_password, password)
            await self._directory.set_password(record.address, better, revoke=False)
        self._remember(login, digest, record)
        return record

    def _remember(self, login: str, digest: bytes, record: AccountRecord) -> None:
        self._proofs[login] = _Proof(digest, self._directory.generation, self._clock() + PROOF_SECONDS, record.address)
        while len(self._proofs) > PROOFS:
            self._proofs.popitem(last=False)

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)
