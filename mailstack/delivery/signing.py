"""DKIM keys of the local domains: `<data>/dkim/<domain>/<selector>.pem`."""

import os
from collections.abc import Iterable
from pathlib import Path

from mailstack.log import get_logger
from mailstack.mailauth.dkim import BodyHash, SigningKey, generate, load, sign
from mailstack.message.header import header_end

log = get_logger()
HEADER_LIMIT = 2 << 20


def make_keys(folder: Path, domain: str, stamp: str) -> list[SigningKey]:
    """RSA and Ed25519 keys of a domain, made when it has none. `stamp` goes into the selectors: "2026a"."""
    place = folder / domain
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not any(place.glob("*.pem")):
        for kind, letter in (("rsa", "r"), ("ed25519", "e")):
            descriptor = os.open(place / f"{stamp}{letter}.pem", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(generate(kind))
    return load_keys(folder, domain)


def load_keys(folder: Path, domain: str) -> list[SigningKey]:
    """The keys that are there; a broken one is told of and left out."""
    found = []
    for path in sorted((folder / domain).glob("*.pem")):
        try:
            found.append(load(path.read_bytes(), domain, path.stem))
        except (OSError, ValueError) as problem:
            log.error("dkim.key_unusable", file=str(path), problem=str(problem))
    return found


class Signer:
    """Keys by domain, read once; forget() after a reload."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: dict[str, list[SigningKey]] = {}

    def forget(self) -> None:
        self._keys.clear()

    def keys(self, domain: str) -> list[SigningKey]:
        if domain not in self._keys:
            self._keys[domain] = load_keys(self._folder, domain)
        return self._keys[domain]

    def signatures(self, blocks: Iterable[bytes], domain: str, moment: int) -> bytes:
        """The fields to put in front of a message, given in blocks; from a thread."""
        keys = self.keys(domain)
        if not keys:
            return b""
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
        return sign(header or start, body_hash.digest(), keys, moment)
