"""Public keys in the DNS (RFC 6376 3.6.1, RFC 8463 4), and what a signature must prove under them (RFC 8301)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from mailstack.mailauth.tags import octets, parse_tags, words
from mailstack.message.errors import SyntaxProblem

MIN_BITS = 1024  # RFC 8301 3.2
MAX_BITS = 8192  # more proves nothing and costs time
RECORD_LIMIT = 16384  # octets
MAX_RECORDS = 4  # under one name
_PREHASHED = Prehashed(hashes.SHA256())
_PKCS1 = padding.PKCS1v15()

PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What stands at <selector>._domainkey.<domain>."""

    kind: str  # "rsa", "ed25519"
    key: PublicKey
    testing: bool  # t=y
    same_domain: bool  # t=s: i= may not be in a subdomain

    @property
    def too_short(self) -> bool:
        return isinstance(self.key, rsa.RSAPublicKey) and self.key.key_size < MIN_BITS

    def verifies(self, digest: bytes, signature: bytes) -> bool:
        """Whether `signature` is one of the SHA-256 `digest` of what was signed."""
        try:
            if isinstance(self.key, rsa.RSAPublicKey):
                self.key.verify(signature, digest, _PKCS1, _PREHASHED)
            else:
                self.key.verify(signature, digest)  # RFC 8463 3: PureEdDSA of the hash
        except InvalidSignature:
            return False
        return True


class NoKey(Exception):
    """Why a record gives no key that a signature could be verified with; one short text."""


def find_key(values: Sequence[str], algorithm: str) -> KeyRecord:
    """The first usable key under one name: there should be one record, and several come in any order. Raises NoKey."""
    problem = NoKey("no key for the signature")
    for text in values[:MAX_RECORDS]:
        try:
            return parse_key(text, algorithm)
        except NoKey as found:
            problem = found
    raise problem


@lru_cache(1024)
def parse_key(text: str, algorithm: str) -> KeyRecord:
    """The key of a record for a signature's algorithm ("rsa-sha256"). Raises NoKey."""
    if len(text) > RECORD_LIMIT:
        raise NoKey("key record too long")
    try:
        tags = parse_tags(text)
        return _key(tags, *algorithm.split("-"))
    except SyntaxProblem as problem:
        raise NoKey(f"bad key record: {problem}") from problem


def _key(tags: dict[str, str], kind: str, hash: str) -> KeyRecord:
    if "v" in tags and (next(iter(tags)) != "v" or tags["v"] != "DKIM1"):
        raise NoKey("key record of another version")
    if tags.get("k", "rsa").lower() != kind:
        raise NoKey("key of another kind")
    if "h" in tags and hash not in words(tags["h"]):
        raise NoKey("key not for this hash")
    if not {"*", "email"}.intersection(words(tags.get("s", "*"))):
        raise NoKey("key not for mail")
    if "p" not in tags:
        raise NoKey("key record without a key")
    data = octets(tags["p"], "p")
    if not data:
        raise NoKey("key revoked")
    flags = words(tags.get("t", ""))
    return KeyRecord(kind, _load(kind, data), "y" in flags, "s" in flags)


def _load(kind: str, data: bytes) -> PublicKey:
    try:
        if kind == "ed25519":
            return ed25519.Ed25519PublicKey.from_public_bytes(data)
        # SubjectPublicKeyInfo, as everybody writes it, or RSAPublicKey, as RFC 6376 3.6.1 has it.
        key = serialization.load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise NoKey("no readable key in the key record") from problem
    if not isinstance(key, rsa.RSAPublicKey):
        raise NoKey("key of another kind")
    if key.key_size > MAX_BITS:
        raise NoKey(f"RSA key of more than {MAX_BITS} bits")
    return key
