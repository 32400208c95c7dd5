"""DKIM signatures for what leaves: with which keys, and in whose name."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from mailstack.log import get_logger
from mailstack.mailauth.arc_seal import seal
from mailstack.mailauth.authres_reading import read
from mailstack.mailauth.canon import BodyHash
from mailstack.mailauth.dkim import SigningKey, generate, load, sign
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import fields, header_end
from mailstack.store.dkim_keys import KeyEntry, KeyState, KeyStore
from mailstack.store.errors import StoreProblem

log = get_logger()
HEADER_LIMIT = 2 << 20


def new_keys(domain: str, stamp: str, taken: Iterable[str] = ()) -> dict[str, bytes]:
    """An RSA and an Ed25519 key as {selector: PEM}. `stamp` begins the selectors: 2026m11r and 2026m11e, then 2026m11br."""
    used = set(taken)
    for more in ("", *"bcdefghijklmnopqstuvwxyz"):
        names = [f"{stamp}{more}{letter}" for letter in "re"]
        if not used.intersection(names):
            return dict(zip(names, (generate("rsa"), generate("ed25519")), strict=True))
    raise StoreProblem(f"{domain}: no free selector begins with {stamp}")


def make_keys(folder: Path, domain: str, stamp: str, now: float = 0.0) -> list[SigningKey]:
    """The keys of a domain; made when it has none, and then they sign at once: a signature too many breaks nothing."""
    store = KeyStore(folder)
    if not store.entries(domain):
        store.add(domain, new_keys(domain, stamp), KeyState.SIGNING, now)
    return load_keys(folder, domain)


def load_keys(folder: Path, domain: str) -> list[SigningKey]:
    """All keys of a domain, whatever their state; a broken one is told of and left out."""
    return [key for entry in KeyStore(folder).entries(domain) if (key := usable(domain, entry)) is not None]


def usable(domain: str, entry: KeyEntry) -> SigningKey | None:
    """The key, None (and a word in the log) where its file holds none."""
    try:
        return load(entry.pem, domain, entry.selector)
    except (ValueError, TypeError) as problem:
        log.error("dkim.key_unusable", domain=domain, selector=entry.selector, problem=str(problem))
        return None


class Signer:
    """Keys by domain, read once; forget() after a change. `valid`: seconds for which a signature is good, None: for ever."""

    def __init__(self, store: KeyStore, hostname: str, valid: float | None = None) -> None:
        self._store = store
        self._hostname = hostname
        self.valid = valid
        self._keys: dict[str, tuple[SigningKey, ...]] = {}

    def forget(self) -> None:
        self._keys.clear()

    def keys(self, domain: str) -> tuple[SigningKey, ...]:
        """Those that sign; reads files the first time."""
        if domain not in self._keys:
            self._keys[domain] = self._read(domain)
        return self._keys[domain]

    def _read(self, domain: str) -> tuple[SigningKey, ...]:
        try:
            entries = self._store.entries(domain)
        except StoreProblem as problem:
            log.error("dkim.keys_unreadable", domain=domain, problem=problem.detail)
            return ()
        found = (usable(domain, entry) for entry in entries if entry.state is KeyState.SIGNING)
        return tuple(key for key in found if key is not None)

    async def domain_for(self, domain: str) -> str | None:
        """In whose name mail of a domain is signed: its own, or that of the nearest domain above that has keys."""
        while "." in domain:
            if domain not in self._keys:
                await asyncio.to_thread(self.keys, domain)
            if self.keys(domain):
                return domain
            domain = domain.partition(".")[2]
        return None

    def signatures(self, blocks: Iterable[bytes], domain: str, moment: int) -> bytes:
        """The fields to put in front of a message, given in blocks; from a thread."""
        keys = self.keys(domain)
        if not keys:
            return b""
        header, digest = digested(blocks)
        return sign(header, digest, keys, moment, int(self.valid) if self.valid else None)

    def vouched(self, blocks: Iterable[bytes], domain: str, moment: int, *, vouching: str | None) -> bytes:
        """A seal above the signatures of a list's own domain, which cover how one leaves it (RFC 8058 4); from a thread."""
        header, digest = digested(blocks)
        keys = self.keys(vouching) if vouching is not None else ()
        signed = sign(header, digest, keys, moment, int(self.valid) if self.valid else None)
        return self._sealed(signed + header, digest, domain, moment) + signed

    def seals(self, blocks: Iterable[bytes], domain: str, moment: int) -> bytes:
        """The ARC set to put in front of what others wrote; from a thread."""
        header, digest = digested(blocks)
        return self._sealed(header, digest, domain, moment)

    def _sealed(self, header: bytes, digest: bytes, domain: str, moment: int) -> bytes:
        # RFC 8617 4.1: rsa-sha256 is what everybody can verify.
        key = next((one for one in self.keys(domain) if one.algorithm == "rsa-sha256"), None)
        if key is None:
            return b""
        return seal(header, digest, key, moment, _results(header, self._hostname))


def _results(header: bytes, hostname: str) -> list[bytes]:
    """The values of this server's own Authentication-Results; those of others are under another name (RFC 8601 5)."""
    found = []
    for name, value in fields(header):
        if name.lower() == b"authentication-results":
            try:
                if read(value).host == hostname.lower():
                    found.append(value)
            except SyntaxProblem:
                continue
    return found


def digested(blocks: Iterable[bytes]) -> tuple[bytes, bytes]:
    """(header, hash of the body) of a message given in blocks; from a thread."""
    start, header, body_hash = b"", b"", BodyHash()
    for block in blocks:
        if header:
            body_hash.update(block)
            continue
        start += block
        end = header_end(start)
        if end < len(start) or len(start) > HEADER_LIMIT:
            header = start[:end]
            body_hash.update(start[end:])
    return header or start, body_hash.digest()
