"""DKIM signatures of a message that arrived: read, then verified (RFC 6376 6.1, RFC 8301, RFC 8463).

`signatures()` reads the header, the body is hashed as it comes (`body_hashes()`), keys are asked for (`Signature.question`),
and `Signature.judge()` says what each signature is worth.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from mailstack.mailauth.canon import BodyHash, Canon
from mailstack.mailauth.keys import NoKey, find_key
from mailstack.mailauth.questions import Answer, Question
from mailstack.mailauth.results import Dkim, Result
from mailstack.mailauth.signed import Fields, unsigned
from mailstack.mailauth.tags import number, octets, parse_tags, words
from mailstack.message.address import normalise_domain
from mailstack.message.errors import SyntaxProblem

MAX_SIGNATURES = 8  # the first ones count; the others are not looked at (RFC 6376 6.1)
FIELD_LIMIT = 65536  # octets of one signature
ALGORITHMS = ("rsa-sha256", "ed25519-sha256")
OUTGROWN = ("rsa-sha1",)  # RFC 8301 3.1
TOLERANCE = 3600  # seconds that clocks may differ, for x= and t=
_SELECTOR = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?)*")

BodyHashes = Mapping[Canon, BodyHash]


@dataclass(frozen=True, slots=True)
class Signature:
    """What one signature claims. ARC's message signatures are read the same way, and their seals are almost the same."""

    raw: bytes
    algorithm: str
    domain: str
    selector: str
    identity: str  # i= of DKIM; "@<domain>" where there is none
    names: tuple[bytes, ...]  # h=
    header_canon: Canon
    body_canon: Canon
    body_hash: bytes
    limit: int | None  # l=
    signature: bytes
    expires: int | None
    signed: int | None
    shown: str  # so much of b= that signatures can be told apart (RFC 6008 4)

    @property
    def question(self) -> Question:
        return Question(f"{self.selector}._domainkey.{self.domain}")

    def judge(self, fields: Fields, bodies: BodyHashes, answer: Answer, now: float) -> Dkim:
        """What this signature is worth, given its key record and the hashes of the body."""
        result, reason, testing = self._judge(fields, bodies, answer, now)
        return Dkim(result, self.domain, self.selector, self.algorithm, self.identity, self.shown, testing, reason)

    def _judge(self, fields: Fields, bodies: BodyHashes, answer: Answer, now: float) -> tuple[Result, str, bool]:
        if self.expires is not None and now > self.expires + TOLERANCE:
            return Result.FAIL, "signature expired", False
        result, reason, testing = self.proves(fields.chosen(self.names, self.header_canon), answer)
        if result is not Result.PASS:
            return result, reason, testing
        body = bodies[self.body_canon]
        digest = body.digest(self.limit)
        if digest != self.body_hash:
            return Result.FAIL, "body hash does not match", testing
        if self.limit is not None and self.limit > body.size:
            return Result.PERMERROR, "l= is more than the body", testing
        if self.limit is not None and self.limit < body.size:
            # Anybody could have put what he likes behind it (RFC 6376 8.2).
            return Result.POLICY, f"{body.size - self.limit} octets of the body are not signed", testing
        return Result.PASS, "", testing

    def proves(self, signed: list[bytes], answer: Answer) -> tuple[Result, str, bool]:
        """Whether the key holds for these fields, canonical and with line ends, and this signature behind them."""
        if answer.trouble:
            return Result.TEMPERROR, "no answer for the key", False
        try:
            record = find_key(answer.values, self.algorithm)
        except NoKey as problem:
            return Result.PERMERROR, str(problem), False
        if record.too_short:
            return Result.POLICY, "RSA key of less than 1024 bits", record.testing
        if record.same_domain and not self.identity.endswith(f"@{self.domain}"):
            return Result.PERMERROR, "the key is not for subdomains", record.testing
        text = hashlib.sha256(b"".join(signed))
        text.update(unsigned(self.raw, self.header_canon))
        if not record.verifies(text.digest(), self.signature):
            return Result.FAIL, "signature does not match", record.testing
        return Result.PASS, "", record.testing


def signatures(fields: Fields) -> list[Signature | Dkim]:
    """The first signatures, in the header's order; what can't be read is judged already."""
    return [_read(raw) for raw in fields.all(b"dkim-signature")[:MAX_SIGNATURES]]


def body_hashes(found: list[Signature]) -> dict[Canon, BodyHash]:
    """What has to be fed with the body, before signatures can be judged."""
    return {
        canon: BodyHash(canon, {one.limit for one in found if one.body_canon is canon and one.limit is not None})
        for canon in {one.body_canon for one in found}
    }


def _read(raw: bytes) -> Signature | Dkim:
    tags: dict[str, str] = {}
    try:
        tags = field_tags(raw)
        if tags.get("v") != "1":
            raise SyntaxProblem("v= is not 1")
        return read_signature(raw, tags, identity=tags.get("i"))
    except Outgrown as problem:
        return Dkim(Result.POLICY, _safe(tags, "d"), _safe(tags, "s"), _safe(tags, "a"), reason=str(problem))
    except SyntaxProblem as problem:
        return Dkim(Result.NEUTRAL, _safe(tags, "d"), _safe(tags, "s"), _safe(tags, "a"), reason=str(problem))


def _safe(tags: dict[str, str], name: str) -> str:
    return tags.get(name, "")[:255]


class Outgrown(Exception):
    """An algorithm that proves nothing any more (RFC 8301 3.1)."""


def field_tags(raw: bytes) -> dict[str, str]:
    """The tags of a signature's field. Raises SyntaxProblem."""
    if len(raw) > FIELD_LIMIT:
        raise SyntaxProblem("signature too long")
    try:
        return parse_tags(raw.partition(b":")[2].decode())
    except UnicodeDecodeError as problem:
        raise SyntaxProblem("octets in a signature that are no text") from problem


def read_signature(raw: bytes, tags: dict[str, str], identity: str | None) -> Signature:
    """A signature with h= and bh=. Raises SyntaxProblem, Outgrown."""
    for name in ("a", "b", "bh", "d", "h", "s"):
        if not tags.get(name):
            raise SyntaxProblem(f"no {name}=")
    names = tuple([word.strip(b" \t\r\n") for word in tags["h"].lower().encode().split(b":")])
    if b"from" not in names:
        raise SyntaxProblem("From is not signed")
    header_canon, body_canon = _canons(tags.get("c", "simple/simple"))
    if "q" in tags and "dns/txt" not in words(tags["q"]):
        raise SyntaxProblem("key is not in the DNS")
    signed, expires = number(tags, "t"), number(tags, "x")
    if signed is not None and expires is not None and expires <= signed:
        raise SyntaxProblem("x= is not after t=")
    return Signature(
        raw=raw,
        **signer(tags, identity),
        names=names,
        header_canon=header_canon,
        body_canon=body_canon,
        body_hash=octets(tags["bh"], "bh"),
        limit=number(tags, "l", 76),
        expires=expires,
        signed=signed,
        shown="".join(tags["b"][:40].split())[:8],
    )


class Signer(TypedDict):
    """The part of a Signature that seals have too."""

    algorithm: str
    domain: str
    selector: str
    identity: str
    signature: bytes


def signer(tags: dict[str, str], identity: str | None) -> Signer:
    """Who signed, and how: what seals have too. Raises SyntaxProblem, Outgrown."""
    algorithm = tags["a"].lower()
    if algorithm in OUTGROWN:
        raise Outgrown(f"{algorithm} proves nothing any more")
    if algorithm not in ALGORITHMS:
        raise SyntaxProblem("unknown algorithm")
    domain, selector = normalise_domain(tags["d"].rstrip(".")), tags["s"]
    if domain.startswith("["):
        raise SyntaxProblem("d= is no domain")
    if len(selector) > 200 or _SELECTOR.fullmatch(selector) is None:
        raise SyntaxProblem("bad selector")
    return {
        "algorithm": algorithm,
        "domain": domain,
        "selector": selector.lower(),
        "identity": _identity(identity, domain),
        "signature": octets(tags["b"], "b"),
    }


def _identity(text: str | None, domain: str) -> str:
    if text is None:
        return f"@{domain}"
    local, at, other = text.rpartition("@")
    other = normalise_domain(other.rstrip("."))
    if not at or not (other == domain or other.endswith(f".{domain}")):
        raise SyntaxProblem("i= is not in the domain of d=")
    return f"{local}@{other}"


def _canons(text: str) -> tuple[Canon, Canon]:
    header, _, body = text.lower().partition("/")
    try:
        return Canon(header.strip()), Canon(body.strip() or "simple")
    except ValueError as problem:
        raise SyntaxProblem("unknown canonical form") from problem
