"""Proving passwords: Argon2id in two threads, imported hashes once, app passwords first, and a short memory of proofs."""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum

import argon2
import bcrypt
from argon2.exceptions import Argon2Error, InvalidHashError
from passlib import hash as schemes
from passlib.exc import PasslibSecurityError

from mailstack.message.address import parse_address
from mailstack.store.users.devices import Device
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.store.users.scram import Scram

THREADS = 2
WAITING = 200  # proofs that may wait; more are told to come again
WAITING_EACH = 20  # for one address, so that guesses at one account keep nobody else out
PROOF_SECONDS = 300.0
PROOFS = 20_000
LONGEST = 1000
PBKDF2_ROUNDS = 1_000_000
BCRYPT_OCTETS = 72  # what bcrypt reads of a password; the rest never counted
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# What an unknown user's password is compared with, so that it costs the same.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$Gpz1ZcWmY0BqXK1VJcvwfYNkvQyTiQ4FTMwS0MzUGt0"
_SCHEME = re.compile(r"\{([A-Za-z0-9.-]+)\}(.*)", re.DOTALL)
APP_LETTERS = 28
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class Refusal(Enum):
    WRONG = "wrong"  # unknown, disabled or wrong password: never told apart
    BUSY = "busy"  # too many wait; come again
    EXPIRED = "expired"  # right once: an app password whose time is over


@dataclass(frozen=True, slots=True)
class Proved:
    """Whose password it is. `device`: an app password's; None: the account's own."""

    record: AccountRecord
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class _Proof:
    digest: bytes
    until: float
    device: Device | None


@dataclass(slots=True)
class _Turn:
    """One proof at a time for an address."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


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
    for _ in range(APP_LETTERS):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    text = "".join(letters)
    return app_shown(text), app_digest(text)


def app_text(typed: str) -> str:
    """Its letters alone."""
    return typed.replace("-", "").replace(" ", "").lower()


def app_shown(letters: str) -> str:
    """As it is shown, and as SCRAM's clients have to type it."""
    return "-".join(letters[place : place + 4] for place in range(0, APP_LETTERS, 4))


def app_digest(typed: str) -> str:
    return hashlib.sha256(app_text(typed).encode()).hexdigest()


def known_scheme(hashed: str) -> bool:
    """Whether an imported hash can be checked."""
    found = _SCHEME.fullmatch(hashed)
    return found is not None and found[1].upper() in _CHECKS


def _argon(password: str, hashed: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (Argon2Error, InvalidHashError):
        return False


def _passlib(name: str, ident: str = "") -> Callable[[str, str], bool]:
    def check(password: str, hashed: str) -> bool:
        return bool(getattr(schemes, name).verify(password, ident + hashed))

    return check


def _bcrypt(password: str, hashed: str) -> bool:
    # The library refuses longer ones; Dovecot and all who made such hashes cut them.
    return bcrypt.checkpw(password.encode()[:BCRYPT_OCTETS], hashed.encode("ascii"))


def _digest_of(name: str) -> Callable[[str, str], bool]:
    def check(password: str, hashed: str) -> bool:
        return hmac.compare_digest(base64.b64encode(hashlib.new(name, password.encode()).digest()), hashed.encode())

    return check


def _pbkdf2(password: str, hashed: str) -> bool:
    """`$1$salt$rounds$hex`."""
    _, version, salt, rounds, made = hashed.split("$")
    if version != "1" or not 0 < int(rounds) <= PBKDF2_ROUNDS:
        return False
    return hmac.compare_digest(hashlib.pbkdf2_hmac("sha1", password.encode(), salt.encode(), int(rounds)).hex(), made)


def _plain(password: str, hashed: str) -> bool:
    return hmac.compare_digest(password.encode(), hashed.encode())


def _crypt(password: str, hashed: str) -> bool:
    """A hash as the system writes it: the sign tells the scheme."""
    for sign, name in (("$6$", "sha512_crypt"), ("$5$", "sha256_crypt"), ("$1$", "md5_crypt")):
        if hashed.startswith(sign):
            return bool(getattr(schemes, name).verify(password, hashed))
    if hashed.startswith("$2"):
        return _bcrypt(password, hashed)
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
    "BLF-CRYPT": _bcrypt,
    "SSHA": _passlib("ldap_salted_sha1", "{SSHA}"),
    "SSHA256": _passlib("ldap_salted_sha256", "{SSHA256}"),
    "SSHA512": _passlib("ldap_salted_sha512", "{SSHA512}"),
    "SMD5": _passlib("ldap_salted_md5", "{SMD5}"),
    "DES-CRYPT": _passlib("des_crypt"),
    "MD5": _passlib("md5_crypt"),
    "PBKDF2": _pbkdf2,
    "SHA256": _digest_of("sha256"),
    "SHA512": _digest_of("sha512"),
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
    check = _CHECKS.get(found[1].upper())
    try:
        return check is not None and check(password, found[2])
    except (ValueError, TypeError, UnicodeError, PasslibSecurityError):
        return False


class PasswordChecker:
    """One for the server. verify() never raises for what a client sends."""

    def __init__(
        self,
        directory: Directory,
        clock: Callable[[], float] = time.monotonic,
        scram: Scram | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._scram = scram
        self._clock = clock
        self._wall = wall  # by which app passwords expire
        self._key = secrets.token_bytes(32)
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="password")
        self._waiting = 0
        self._turns: dict[str, _Turn] = {}
        self._proofs: OrderedDict[str, _Proof] = OrderedDict()
        directory.on_revoked.append(self.forget)

    def forget(self, account: str) -> None:
        """Void what was proved for an account."""
        self._proofs.pop(account, None)

    def _digest(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode("utf-8", "surrogateescape"), "sha256")

    async def verify(self, login: str, password: str) -> Proved | Refusal:
        """The account whose password this is, or why not. Nothing was revoked between the proof and the return."""
        if len(password) > LONGEST or len(login) > 320 or "\0" in password:
            return Refusal.WRONG
        try:
            # One form for all spellings of an address, so that they share one turn.
            key = parse_address(login).key
            digest = self._digest(password)
        except ValueError:
            key, digest = "", b""  # nobody's; it costs the same
        proved = await self._remembered(key, digest)
        if proved is not None:
            return proved
        turn = self._turns.setdefault(key, _Turn())
        if self._waiting >= WAITING or turn.waiting >= WAITING_EACH:
            return Refusal.BUSY
        self._waiting += 1
        turn.waiting += 1
        try:
            async with turn.lock:
                proved = await self._remembered(key, digest)
                return proved if proved is not None else await self._prove(key, password, digest)
        finally:
            self._waiting -= 1
            turn.waiting -= 1
            if not turn.waiting:
                self._turns.pop(key, None)

    async def _remembered(self, key: str, digest: bytes) -> Proved | None:
        record = (await self._directory.entry(key)).account
        proof = self._proofs.get(key)
        if proof is None:
            return None
        if proof.until < self._clock() or (proof.device is not None and proof.device.expired(self._wall())):
            del self._proofs[key]
            return None
        if not hmac.compare_digest(proof.digest, digest):
            return None
        return Proved(record, proof.device) if record is not None and not record.disabled else None

    async def _prove(self, key: str, password: str, digest: bytes) -> Proved | Refusal:
        revocations = self._directory.revocations(key)
        record = (await self._directory.entry(key)).account
        device = None
        if record is not None and not record.disabled and len(app_text(password)) == APP_LETTERS:
            device = await self._prove_app(record, password)
        right = device is not None
        if not right:
            loop = asyncio.get_running_loop()
            hashed = record.password if record is not None else "{ARGON2ID}" + _NOBODY
            right = await loop.run_in_executor(self._executor, check_hash, password, hashed)
            if not hashed.startswith("{ARGON2ID}") and not (right and record is not None and not record.disabled):
                # A hash from elsewhere may be quick: it must not tell by that whose account is here.
                await loop.run_in_executor(self._executor, check_hash, password, "{ARGON2ID}" + _NOBODY)
            if right and record is not None and not record.disabled:
                await self._improve(record, password)
        # Hashing takes its time: the password may have been changed, the account switched off or removed meanwhile.
        if not right or record is None or record.disabled or self._directory.revocations(key) != revocations:
            return Refusal.WRONG
        if device is not None and device.expired(self._wall()):
            return Refusal.EXPIRED
        self._proofs[key] = _Proof(digest, self._clock() + PROOF_SECONDS, device)
        while len(self._proofs) > PROOFS:
            self._proofs.popitem(last=False)
        return Proved(record, device)

    async def _prove_app(self, record: AccountRecord, password: str) -> Device | None:
        digest = app_digest(password)
        found = await self._directory.app_password(digest)
        if found is None or found.account != record.address:
            return None
        if found.scram is None and (kept := await self._scram_keys(record, app_shown(app_text(password)))) is not None:
            await self._directory.set_app_scram(digest, kept)
        return found

    async def _improve(self, record: AccountRecord, password: str) -> None:
        """What can be made only while the password is seen: a better hash, and what SCRAM needs."""
        hashed = record.password
        if not hashed.startswith("{ARGON2ID}"):
            better = await asyncio.get_running_loop().run_in_executor(self._executor, hash_password, password)
            await self._directory.improve_password(record.address, hashed, better)
            hashed = better
        if record.scram is None and (kept := await self._scram_keys(record, password)) is not None:
            await self._directory.set_scram(record.address, hashed, kept)

    async def _scram_keys(self, record: AccountRecord, password: str) -> str | None:
        if self._scram is None:
            return None
        salt = await self._scram.salt(record.address)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._scram.make, salt, password)

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)
