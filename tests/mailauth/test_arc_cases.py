"""ARC by the words of RFC 8617: chains made by a small signer of the test's own, judged by us and by dkimpy."""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import dkim
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mailstack.mailauth.results import Arc
from tests.support.judging import NOW, Records, asker, judged

HEADER = [("From", "carol@far.test"), ("To", "list@a.test"), ("Subject", "hello"), ("Message-ID", "<1@far.test>")]
BODY = b"body\r\nof two lines\r\n"
RSA = rsa.generate_private_key(65537, 1024)
OTHER = rsa.generate_private_key(65537, 1024)
EDWARDS = ed25519.Ed25519PrivateKey.generate()
Tags = dict[str, str | None]


def record(key: rsa.RSAPrivateKey) -> str:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode()}"


EDWARDS_RECORD = f"v=DKIM1; k=ed25519; p={base64.b64encode(EDWARDS.public_key().public_bytes_raw()).decode()}"
RECORDS: Records = {
    "s._domainkey.a.test": record(RSA),
    "t._domainkey.b.test": record(RSA),
    "e._domainkey.a.test": EDWARDS_RECORD,
    "wrong._domainkey.a.test": record(OTHER),
    "revoked._domainkey.a.test": "v=DKIM1; p=",
    "sha1._domainkey.a.test": record(RSA).replace("k=rsa", "k=rsa; h=sha1"),
    "mute._domainkey.a.test": None,
}


@dataclass(frozen=True)
class Set:
    """One instance: what its seal says of the chain, and tags that differ; None: the tag is not there."""

    instance: str = "1"
    cv: str | None = "none"
    seal: Tags = field(default_factory=dict)
    message: Tags = field(default_factory=dict)
    results: str = "mail.a.test; dmarc=pass header.from=far.test"
    without: frozenset[str] = frozenset()
    between: str = ""  # blanks in b=
    body: bytes = BODY  # as this one saw it


def chain_of(count: int) -> list[Set]:
    return [Set(str(number), "none" if number == 1 else "pass") for number in range(1, count + 1)]


def relaxed(name: str, value: str) -> bytes:
    value = re.sub(r"[ \t]+", " ", value.replace("\r\n", "")).strip()
    return f"{name.lower()}:{value}".encode()


def written(tags: Tags) -> str:
    return " " + "; ".join(f"{name}={value}" for name, value in tags.items() if value is not None)


def signed(value: str, text: bytes, algorithm: str | None, between: str) -> str:
    if algorithm == "ed25519-sha256":
        signature = EDWARDS.sign(hashlib.sha256(text).digest())
    else:
        signature = RSA.sign(text, padding.PKCS1v15(), hashes.SHA1() if algorithm == "rsa-sha1" else hashes.SHA256())
    shown = base64.b64encode(signature).decode()
    return value + (between.join(re.findall(".{1,40}", shown)) if between else shown)


def without_signature(tags: Tags) -> bool:
    return "b" in tags and tags["b"] is None


def message_signature(one: Set, header: list[tuple[str, str]]) -> str:
    simple = (one.message.get("c") or "").startswith("simple")
    length = one.message.get("l")
    body = one.body if length is None else one.body[: int(length)]
    tags: Tags = {"i": one.instance, "a": "rsa-sha256", "c": "relaxed/relaxed", "d": "a.test", "s": "s", "t": str(NOW)}
    tags |= {"h": "from:to:subject:message-id", "bh": base64.b64encode(hashlib.sha256(body).digest()).decode()}
    tags |= one.message
    value = written({**tags, "b": ""})
    if without_signature(one.message):
        return written({**tags, "b": None})
    left = list(header)
    lines = []
    for name in (tags["h"] or "").split(":"):
        place = next((n for n in range(len(left) - 1, -1, -1) if left[n][0].lower() == name), None)
        if place is not None:
            found = left.pop(place)
            lines.append(f"{found[0]}: {found[1]}".encode() if simple else relaxed(*found))
    own = f"ARC-Message-Signature:{value}".encode() if simple else relaxed("ARC-Message-Signature", value)
    return signed(value, b"\r\n".join([*lines, own]), tags["a"], one.between)


def seal(one: Set, before: list[tuple[str, str]], own: list[tuple[str, str]]) -> str:
    tags: Tags = {"i": one.instance, "a": "rsa-sha256", "cv": one.cv, "d": "a.test", "s": "s", "t": str(NOW)} | one.seal
    if without_signature(one.seal):
        return written({**tags, "b": None})
    value = written({**tags, "b": ""})
    # RFC 8617 5.1.2: a seal that says "fail" is over its own set alone.
    covered = own if one.cv == "fail" else before + own
    text = b"\r\n".join([*(relaxed(*line) for line in covered), relaxed("ARC-Seal", value)])
    return signed(value, text, tags["a"], one.between)


def made(sets: list[Set], header: list[tuple[str, str]] = HEADER, body: bytes = BODY) -> bytes:
    before: list[tuple[str, str]] = []
    shown: list[tuple[str, str]] = []
    for one in sets:
        results = f" i={one.instance}; {one.results}" if one.instance else f" {one.results}"
        own = [("ARC-Authentication-Results", results), ("ARC-Message-Signature", message_signature(one, header))]
        own.append(("ARC-Seal", seal(one, before, own)))
        own = [(name, value) for name, value in own if name not in one.without]
        before += own
        shown = list(reversed(own)) + shown
    lines = [f"{name}:{value}" for name, value in shown] + [f"{name}: {value}" for name, value in header]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def latest(count: int, **changes: object) -> list[Set]:
    """A chain whose newest set differs."""
    sets = chain_of(count)
    return [*sets[:-1], replace(sets[-1], **changes)]  # type: ignore[arg-type]


def oldest(count: int, **changes: object) -> list[Set]:
    first, *others = chain_of(count)
    return [replace(first, **changes), *others]  # type: ignore[arg-type]


def numbered(*instances: str) -> list[Set]:
    return [Set(one, "pass" if number else "none") for number, one in enumerate(instances)]


def fields_of(data: bytes) -> tuple[list[bytes], bytes]:
    """The lines of the header, none of which is folded, and what follows."""
    header, _, body = data.partition(b"\r\n\r\n")
    return header.split(b"\r\n"), body


def lines_of(data: bytes, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    lines, body = fields_of(data)
    return b"\r\n".join(change(lines)) + b"\r\n\r\n" + body


def cases() -> Iterator[tuple[str, bytes, str]]:
    """What, the message, and what its chain is worth."""
    yield "no set", made([]), "none"
    for count in (1, 2, 3):
        yield f"{count} sets", made(chain_of(count)), "pass"
    # 4: the fields, wherever they stand and however they are written
    yield "the oldest on top", lines_of(made(chain_of(3)), lambda lines: sorted(lines[:9]) + lines[9:]), "pass"
    yield "below the message's own", lines_of(made(chain_of(2)), lambda lines: lines[6:] + lines[:6]), "pass"
    yield "names in capitals", made(chain_of(2)).replace(b"ARC-Seal:", b"ARC-SEAL:"), "pass"
    yield "blanks in signatures", made(latest(2, between=" \r\n\t ")), "pass"
    yield "unknown tags", made(latest(2, seal={"x_new": "1"}, message={"x_new": "1"})), "pass"
    yield "other domains", made(latest(2, message={"d": "b.test", "s": "t"})), "pass"
    yield "a field that nobody signed", b"X-New: 1\r\n" + made(chain_of(2)), "pass"
    yield "a field signed more often than it is there", made(latest(2, message={"h": "from:to:subject:subject:from"})), "pass"
    yield "simple canonical form", made(latest(2, message={"c": "simple/simple"})), "pass"
    # 4.1.3, 5.1.1: cv=
    for value in ("pass", "fail", "unknown", None):
        yield f"the first seal says {value}", made(oldest(2, cv=value)), "fail"
    for value in ("none", "fail", "unknown", None):
        yield f"the second seal says {value}", made(latest(2, cv=value)), "fail"
    yield "one seal of a broken chain", made([*chain_of(2), Set("3", "fail")]), "fail"
    yield "pass behind fail", made([Set("1"), Set("2", "fail"), Set("3", "pass")]), "fail"
    # 4.2.1: instances
    for instances in (
        ("1", "3"),
        ("2",),
        ("2", "3"),
        ("0", "1"),
        ("1", "1"),
        ("1", "2", "2"),
        ("51",),
        ("1", "1024"),
        ("1", "x"),
        ("-1",),
    ):
        yield f"instances {instances}", made(numbered(*instances)), "fail"
    yield "fifty sets", made(chain_of(50)), "pass"
    yield "fifty-one sets", made(chain_of(51)), "fail"
    # 4.2: each set is whole, each field is there once
    for name in ("ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal"):
        alone = frozenset({name})
        yield f"no {name} in 1", made(oldest(2, without=alone)), "fail"
        yield f"no {name} in 2", made(latest(2, without=alone)), "fail"
        yield (
            f"nothing but {name}",
            made(latest(1, without=frozenset(("ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal")) - alone)),
            "fail",
        )
        start = f"{name}:".encode()
        yield (
            f"{name} twice",
            lines_of(
                made(chain_of(2)), lambda lines, start=start: [next(one for one in lines if one.startswith(start)), *lines]
            ),
            "fail",
        )  # type: ignore[misc]
    yield (
        "results without an instance",
        made(chain_of(1)).replace(b"ARC-Authentication-Results: i=1; ", b"ARC-Authentication-Results: "),
        "fail",
    )
    for kind in ("seal", "message"):
        yield f"{kind} without an instance", made(latest(1, **{kind: {"i": None}})), "fail"
    # 4.1.2, 4.1.3: tags
    for tag in ("a", "b", "d", "s"):
        yield f"seal without {tag}=", made(latest(2, seal={tag: None})), "fail"
    for tag in ("a", "b", "bh", "d", "h", "s"):
        yield f"message signature without {tag}=", made(latest(2, message={tag: None})), "fail"
    yield "seal with h=", made(latest(2, seal={"h": "from"})), "fail"
    yield "From is not signed", made(latest(2, message={"h": "to:subject"})), "fail"
    yield "a message signature over seals", made(latest(2, message={"h": "from:arc-seal"})), "fail"
    yield "a tag that comes twice", made(latest(2, seal={"t": f"{NOW}; t={NOW}"})), "fail"
    yield "seal by SHA-1", made(latest(2, seal={"a": "rsa-sha1"})), "fail"
    yield "message signature by SHA-1", made(latest(2, message={"a": "rsa-sha1"})), "fail"
    yield "an unknown algorithm", made(latest(2, seal={"a": "rsa-md5"})), "fail"
    yield "Ed25519", made(latest(2, seal={"a": "ed25519-sha256", "s": "e"}, message={"a": "ed25519-sha256", "s": "e"})), "pass"
    # 5.2: what was changed, and by whom
    whole = made(chain_of(2))
    yield "another body", whole.replace(b"two lines", b"three lines"), "fail"
    yield "another subject", whole.replace(b"Subject: hello", b"Subject: hullo"), "fail"
    yield "a body that only the first saw otherwise", made(oldest(2, body=b"before\r\n")), "pass"
    yield "a body that only the second saw otherwise", made(latest(2, body=b"before\r\n")), "fail"
    for instance in (1, 2):
        yield (
            f"other results in {instance}",
            whole.replace(b"Results: i=%d; mail.a" % instance, b"Results: i=%d; mail.b" % instance),
            "fail",
        )
    for name in (b"ARC-Seal", b"ARC-Message-Signature"):
        for instance in (1, 2):
            found = re.search(rb"%b: i=%d;[^\r]* b=(.)" % (name, instance), whole)
            assert found is not None
            place = found.start(1)
            other = b"A" if found[1] != b"A" else b"B"
            yield f"{name.decode()} {instance} is another", whole[:place] + other + whole[place + 1 :], "fail"
    yield (
        "the second set of another message",
        lines_of(whole, lambda lines: fields_of(made(latest(2, results="x.test; none")))[0][:3] + lines[3:]),
        "pass",
    )
    yield (
        "the first set of another message",
        lines_of(whole, lambda lines: lines[:3] + fields_of(made(oldest(1, results="x.test; none")))[0]),
        "fail",
    )
    # times
    yield "signed for some time", made(latest(2, message={"x": str(NOW + 60)})), "pass"
    yield "expired", made(latest(2, message={"t": str(NOW - 90_000), "x": str(NOW - 80_000)})), "fail"
    yield "ends before it begins", made(latest(2, message={"x": str(NOW - 1)})), "fail"
    # l=: what is behind it might be anybody's
    yield "signed to the end", made(latest(2, message={"l": str(len(BODY))})), "pass"
    yield "a part of the body signed", made(latest(2, message={"l": "6"})), "fail"
    yield "more than the body signed", made(latest(2, message={"l": "600"})), "fail"
    # 3.6 of RFC 6376: keys
    for kind in ("seal", "message"):
        for selector in ("none", "wrong", "revoked", "sha1"):
            yield f"{kind} with the key {selector}", made(latest(2, **{kind: {"s": selector}})), "fail"
        yield f"{kind} whose key nobody can ask for", made(latest(2, **{kind: {"s": "mute"}})), "temperror"
        yield f"{kind} with a key of another kind", made(latest(2, **{kind: {"s": "e"}})), "fail"


CASES = list(cases())
# What dkimpy takes otherwise: it goes by the order of fields, counts to no end, knows no Ed25519 here and its own clock, and
# does not mind what nobody signed, what l= leaves out, or what a key is not for.
OTHERWISE = {
    "the oldest on top", "instances ('1', 'x')", "fifty-one sets", "From is not signed", "Ed25519", "signed for some time",
    "a part of the body signed", "more than the body signed", "seal with the key sha1", "message with the key sha1",
}  # fmt: skip


@pytest.mark.parametrize(("what", "data", "result"), CASES, ids=[one[0] for one in CASES])
def test_what_a_chain_is_worth(what: str, data: bytes, result: str) -> None:
    found: Arc = judged(data, RECORDS)[1]
    assert found.result == result, found.reason


def test_dkimpy_agrees() -> None:
    differ = set()
    for what, data, result in CASES:
        try:
            theirs = dkim.arc_verify(data, dnsfunc=asker(RECORDS))[0]
        except (dkim.DKIMException, IndexError, KeyError, ValueError, AttributeError, TypeError) as problem:
            theirs = type(problem).__name__.encode()
        if (theirs == b"pass") is not (result == "pass"):
            differ.add((what, theirs))
    assert {what for what, _ in differ} == OTHERWISE, differ
