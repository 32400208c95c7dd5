"""The chain of those who handled a message on its way, and whether it holds (RFC 8617 5.2).

`read_chain()` reads the header. A chain that is broken already is a result; else `Chain.questions` asks for the keys, and
`Chain.judge()` says what it is worth. Sealing starts from what comes out: its instances, its result, its sets.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from mailstack.mailauth.canon import Canon
from mailstack.mailauth.dkim_verify import (
    BodyHashes,
    Outgrown,
    Signature,
    field_tags,
    read_signature,
    signer,
)
from mailstack.mailauth.keys import NoKey, find_key
from mailstack.mailauth.questions import Answer, Question
from mailstack.mailauth.results import Arc, ArcSet, Result
from mailstack.mailauth.signed import Fields, relaxed_field, unsigned
from mailstack.mailauth.tags import number, parse_tags
from mailstack.message.errors import SyntaxProblem

MAX_INSTANCES = 50  # RFC 8617 4.2.1
RESULTS, MESSAGE, SEAL = b"arc-authentication-results", b"arc-message-signature", b"arc-seal"


@dataclass(frozen=True, slots=True)
class _Seal:
    raw: bytes
    algorithm: str
    domain: str
    selector: str
    signature: bytes
    validation: str  # cv=: "none", "pass", "fail"

    @property
    def question(self) -> Question:
        return Question(f"{self.selector}._domainkey.{self.domain}")


@dataclass(frozen=True, slots=True)
class _Set:
    results: bytes  # the whole field
    message: Signature
    seal: _Seal


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that is whole in form."""

    sets: tuple[_Set, ...]  # oldest first
    shown: tuple[ArcSet, ...]

    @property
    def signatures(self) -> list[Signature]:
        """Those whose body hashes are needed."""
        return [one.message for one in self.sets]

    @property
    def questions(self) -> tuple[Question, ...]:
        """Each key once."""
        asked = [question for one in reversed(self.sets) for question in (one.seal.question, one.message.question)]
        return tuple(dict.fromkeys(asked))

    def judge(self, fields: Fields, bodies: BodyHashes, answers: Mapping[Question, Answer], now: float) -> Arc:
        newest = self.sets[-1].message
        found = newest.judge(fields, bodies, answers[newest.question], now)
        if found.result is not Result.PASS:
            return self._failed(found.result, f"ARC-Message-Signature {len(self.sets)}: {found.reason}")
        for instance, (one, digest) in enumerate(zip(self.sets, self._digests(), strict=True), 1):
            result, reason = _holds(one.seal, digest, answers[one.seal.question])
            if result is not Result.PASS:
                return self._failed(result, f"ARC-Seal {instance}: {reason}")
        return Arc(Result.PASS, self.shown, self._oldest_pass(fields, bodies, answers, now))

    def _failed(self, result: Result, reason: str) -> Arc:
        # Without a key nobody knows; everything else breaks the chain for good.
        return Arc(result if result is Result.TEMPERROR else Result.FAIL, self.shown, reason=reason)

    def _digests(self) -> list[bytes]:
        """What each seal signs: all sets up to its own, relaxed, its own b= left out (RFC 8617 5.1.1)."""
        before, digests = hashlib.sha256(), []
        for one in self.sets:
            before.update(relaxed_field(one.results) + b"\r\n" + relaxed_field(one.message.raw) + b"\r\n")
            own = before.copy()
            own.update(unsigned(one.seal.raw, Canon.RELAXED))
            digests.append(own.digest())
            before.update(relaxed_field(one.seal.raw) + b"\r\n")
        return digests

    def _oldest_pass(self, fields: Fields, bodies: BodyHashes, answers: Mapping[Question, Answer], now: float) -> int:
        for instance in range(len(self.sets) - 1, 0, -1):
            message = self.sets[instance - 1].message
            if message.judge(fields, bodies, answers[message.question], now).result is not Result.PASS:
                return instance + 1
        return 0


def read_chain(fields: Fields) -> Chain | Arc:
    """The chain of a header; an Arc where there is none, or where its form or its newest seal says that it is broken."""
    found = [fields.all(name) for name in (RESULTS, MESSAGE, SEAL)]
    count = len(found[2])
    if not any(found):
        return Arc()
    if any(len(one) != count for one in found):
        return Arc(Result.FAIL, reason="a set is not whole")
    if count > MAX_INSTANCES:
        return Arc(Result.FAIL, reason="more than 50 sets")
    try:
        results, messages, seals = (_by_instance(one) for one in found)
        sets = [
            _Set(results[instance][0], _message(*messages[instance]), _seal(*seals[instance], instance))
            for instance in range(1, count + 1)
        ]
    except (SyntaxProblem, Outgrown) as problem:
        return Arc(Result.FAIL, reason=str(problem))
    shown = tuple(
        ArcSet(instance, one.seal.domain, one.seal.selector, one.results.partition(b":")[2].strip())
        for instance, one in enumerate(sets, 1)
    )
    if sets[-1].seal.validation == "fail":
        return Arc(Result.FAIL, shown, reason="the newest seal says so")
    for instance, one in enumerate(sets, 1):
        if one.seal.validation != ("none" if instance == 1 else "pass"):
            return Arc(Result.FAIL, shown, reason=f"ARC-Seal {instance}: cv={one.seal.validation}")
    return Chain(tuple(sets), shown)


_Tagged = tuple[bytes, dict[str, str]]


def _by_instance(raws: list[bytes]) -> dict[int, _Tagged]:
    """Fields by i=, which has to go from 1 without a gap. Raises SyntaxProblem."""
    found: dict[int, _Tagged] = {}
    for raw in raws:
        if raw[: len(RESULTS)].lower() == RESULTS:
            # Only its i= is a tag; what follows is for those who trust the sealer.
            tags = parse_tags(raw.partition(b":")[2].partition(b";")[0].decode("ascii", "replace"))
        else:
            tags = field_tags(raw)
        instance = number(tags, "i", 2)
        if instance is None or not 0 < instance <= len(raws) or instance in found:
            raise SyntaxProblem("instances do not go from 1 without a gap")
        found[instance] = raw, tags
    return found


def _message(raw: bytes, tags: dict[str, str]) -> Signature:
    signature = read_signature(raw, tags, identity=None)
    if SEAL in signature.names:
        raise SyntaxProblem("an ARC-Message-Signature signs seals")  # RFC 8617 4.1.2
    return signature


def _seal(raw: bytes, tags: dict[str, str], instance: int) -> _Seal:
    for name in ("a", "b", "cv", "d", "s"):
        if not tags.get(name):
            raise SyntaxProblem(f"ARC-Seal {instance}: no {name}=")
    if "h" in tags or "bh" in tags:
        raise SyntaxProblem(f"ARC-Seal {instance}: h= in a seal")  # RFC 8617 4.1.3
    who = signer(tags, None)
    return _Seal(raw, who["algorithm"], who["domain"], who["selector"], who["signature"], tags["cv"].lower())


def _holds(seal: _Seal, digest: bytes, answer: Answer) -> tuple[Result, str]:
    if answer.trouble:
        return Result.TEMPERROR, "no answer for the key"
    try:
        record = find_key(answer.values, seal.algorithm)
    except NoKey as problem:
        return Result.FAIL, str(problem)
    if record.too_short:
        return Result.FAIL, "RSA key of less than 1024 bits"
    if not record.verifies(digest, seal.signature):
        return Result.FAIL, "seal does not match"
    return Result.PASS, ""
