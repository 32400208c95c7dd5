"""DKIM signatures of others: dkimpy signs and judges beside us, and what each tag may do to a signature."""

import base64
import random
from dataclasses import replace

import dkim
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mailstack.delivery.signing import digested
from mailstack.mailauth.canon import relaxed
from mailstack.mailauth.dkim import SigningKey, dns_record, generate, load, sign
from mailstack.mailauth.dkim_verify import MAX_SIGNATURES
from tests.support.judging import NOW, Records, asker, dkim_words, judged

MESSAGE = b"From: carol@far.test\r\nTo: alice@a.test\r\nSubject: hello\r\n\r\nOne  line \r\n\r\n"
NAME = "s._domainkey.far.test"


@pytest.fixture(scope="module")
def pem() -> bytes:
    return generate("rsa")


@pytest.fixture(scope="module")
def key(pem: bytes) -> SigningKey:
    return load(pem, "far.test", "s")


@pytest.fixture(scope="module")
def records(key: SigningKey) -> Records:
    return {NAME: dns_record(key)}


def signature(key: SigningKey, message: bytes = MESSAGE, **tags: str | None) -> bytes:
    """A relaxed/relaxed signature with tags of the caller's; None leaves one out."""
    _, digest = digested((message,))
    values: dict[str, str | None] = {
        "v": "1", "a": "rsa-sha256", "c": "relaxed/relaxed", "d": "far.test", "s": "s", "h": "from:to:subject:from",
        "bh": base64.b64encode(digest).decode(),
    } | tags  # fmt: skip
    text = "; ".join(f"{name}={value}" for name, value in values.items() if value is not None) + "; b="
    fields = {"from": b"carol@far.test", "to": b"alice@a.test", "subject": b"hello"}
    signed, left = b"", dict(fields)
    for word in (values["h"] or "").lower().split(":"):
        if word.strip() in left:
            signed += relaxed(word.strip().encode(), left.pop(word.strip())) + b"\r\n"
    signed += relaxed(b"dkim-signature", text.encode())
    made = key.key.sign(signed, padding.PKCS1v15(), hashes.SHA256()) if isinstance(key.key, rsa.RSAPrivateKey) else b""
    return b"DKIM-Signature: " + text.encode() + base64.b64encode(made) + b"\r\n" + message


def test_both_kinds_of_keys_and_each_form(pem: bytes, key: SigningKey, records: Records) -> None:
    other = load(generate("ed25519"), "far.test", "e")
    both = {**records, "e._domainkey.far.test": dns_record(other)}
    header, digest = digested((MESSAGE,))
    assert dkim_words(sign(header, digest, [key, other], NOW) + MESSAGE, both) == ["pass", "pass"]
    private = serialization.load_pem_private_key(pem, None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    for canon in ((b"simple", b"simple"), (b"simple", b"relaxed"), (b"relaxed", b"simple"), (b"relaxed", b"relaxed")):
        made = dkim.sign(MESSAGE, b"s", b"far.test", private, canonicalize=canon)
        for block in (1, 7, 1000):
            ((found,), _) = judged(made + MESSAGE, records, block=block)
            assert (found.result, found.domain, found.selector) == ("pass", "far.test", "s"), (canon, found.reason)


def test_dkimpy_agrees_about_changed_messages(pem: bytes, key: SigningKey, records: Records) -> None:
    chance = random.Random(6376)
    words = [b" ", b"\t", b"\r\n", b"a", b"b  c", b" \r\n", b"\r\n ", b"To: x\r\n", b"="]
    verdicts = set()
    for _ in range(60):
        body = b"".join(chance.choices([*words[:6], b"x" * 80], k=chance.randrange(12))) + b"\r\n"
        message = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body
        header, digest = digested((message,))
        data = sign(header, digest, [key], NOW) + message
        for _ in range(chance.randrange(2)):
            place = chance.randrange(len(data))
            data = data[:place] + chance.choice(words) + data[place + chance.randrange(2) :]
        if b"\n" in data.replace(b"\r\n", b"") or not data.endswith(b"\r\n"):
            continue  # dkimpy mends line ends
        try:
            theirs = dkim.DKIM(data).verify(dnsfunc=asker(records))
        except (dkim.DKIMException, KeyError, ValueError):
            theirs = False
        ours = dkim_words(data, records)
        assert (ours[:1] == ["pass"]) is bool(theirs), (data, ours)
        verdicts.add(theirs)
    assert verdicts == {True, False}


@pytest.mark.parametrize(
    ("tags", "word", "why"),
    [
        ({}, "pass", ""),
        ({"t": str(NOW - 10), "x": str(NOW + 10)}, "pass", ""),
        ({"x": str(NOW - 7200)}, "fail", "expired"),
        ({"t": str(NOW), "x": str(NOW)}, "neutral", "x= is not after t="),
        ({"i": "carol@mail.far.test"}, "pass", ""),
        ({"i": "@far.test.evil.test"}, "neutral", "i="),
        ({"i": "@notfar.test"}, "neutral", "i="),
        ({"v": "2"}, "neutral", "v="),
        ({"v": None}, "neutral", "v="),
        ({"a": "rsa-sha1"}, "policy", "proves nothing"),
        ({"a": "rsa-md5"}, "neutral", "unknown algorithm"),
        ({"a": "ed25519-sha256"}, "permerror", "another kind"),
        ({"h": "to:subject"}, "neutral", "From is not signed"),
        ({"h": "from:to:subject:x-not-there"}, "pass", ""),
        ({"d": "other.test"}, "permerror", "no key"),
        ({"d": "FAR.test"}, "pass", ""),
        ({"s": "bad..s"}, "neutral", "selector"),
        ({"q": "dns/txt"}, "pass", ""),
        ({"q": "http"}, "neutral", "DNS"),
        ({"c": "loose/relaxed"}, "neutral", "canonical"),
        ({"c": "relaxed"}, "fail", "body hash"),
        ({"l": "5"}, "fail", "body hash"),
        ({"l": "9999"}, "permerror", "more than the body"),
        ({"l": "x"}, "neutral", "l="),
        ({"bh": "AAAA"}, "fail", "body hash"),
        ({"bh": "!"}, "neutral", "bh="),
        ({"unknown": "x"}, "pass", ""),
        ({"z": "From:a@b|To:c"}, "pass", ""),
    ],
    ids=str,
)
def test_tags(key: SigningKey, records: Records, tags: dict[str, str | None], word: str, why: str) -> None:
    ((found,), _) = judged(signature(key, **tags), records)
    assert (found.result, why in found.reason) == (word, True), found.reason


def test_what_is_put_behind_a_signed_length_is_told(key: SigningKey, records: Records) -> None:
    whole = signature(key, l="10")
    assert dkim_words(whole, records) == ["pass"]
    ((found,), _) = judged(whole + b"Buy now\r\n", records)
    assert (found.result, found.reason) == ("policy", "11 octets of the body are not signed")


@pytest.mark.parametrize(
    ("change", "word", "why"),
    [
        (lambda text: text.replace("v=DKIM1; ", ""), "pass", ""),
        (lambda text: text.replace("v=DKIM1", "v=DKIM2"), "permerror", "version"),
        (lambda text: text.replace("k=rsa; ", ""), "pass", ""),
        (lambda text: text.replace("k=rsa", "k=ed25519"), "permerror", "kind"),
        (lambda text: text + "; h=sha1:sha256", "pass", ""),
        (lambda text: text + "; h=sha1", "permerror", "hash"),
        (lambda text: text + "; s=email:other", "pass", ""),
        (lambda text: text + "; s=tlsrpt", "permerror", "not for mail"),
        (lambda text: text + "; t=y", "pass", ""),
        (lambda text: "v=DKIM1; k=rsa; p=", "permerror", "revoked"),
        (lambda text: "v=DKIM1; k=rsa", "permerror", "without a key"),
        (lambda text: "v=DKIM1; k=rsa; p=AAAA", "permerror", "no readable key"),
        (lambda text: "no record", "permerror", "bad key record"),
        (lambda text: text.replace("; p=", "; p= ").replace("A", "A ", 3), "pass", ""),
        (lambda text: None, "temperror", "no answer"),
    ],
)
def test_key_records(key: SigningKey, change: object, word: str, why: str) -> None:
    assert callable(change)
    ((found,), _) = judged(signature(key), {NAME: change(dns_record(key))})
    assert (found.result, why in found.reason) == (word, True), found.reason


def test_a_key_for_its_own_domain_only(key: SigningKey) -> None:
    strict = {NAME: dns_record(key) + "; t=s"}
    assert dkim_words(signature(key), strict) == ["pass"]
    assert dkim_words(signature(key, i="@mail.far.test"), strict) == ["permerror"]


def test_a_key_of_512_bits_proves_nothing(key: SigningKey) -> None:
    short = rsa.RSAPublicNumbers(65537, (1 << 511) + 111).public_key()
    data = short.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ((found,), _) = judged(signature(key), {NAME: f"v=DKIM1; p={base64.b64encode(data).decode()}"})
    assert (found.result, found.reason) == ("policy", "RSA key of less than 1024 bits")


def test_a_key_as_rfc_6376_writes_it(key: SigningKey) -> None:
    public = key.key.public_key()
    data = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    assert dkim_words(signature(key), {NAME: f"p={base64.b64encode(data).decode()}"}) == ["pass"]


def test_a_field_more_than_was_signed_is_seen(key: SigningKey, records: Records) -> None:
    data = signature(key)
    assert dkim_words(b"From: bank@bank.test\r\n" + data, records) == ["fail"]
    assert dkim_words(b"To: bank@bank.test\r\n" + data, records) == ["pass"]  # h= names it once: the last one is signed


def test_of_a_hundred_signatures_some_are_looked_at(key: SigningKey, records: Records) -> None:
    field = signature(key)[: -len(MESSAGE)]
    (found, _) = judged(field * 100 + MESSAGE, records)
    assert [str(one.result) for one in found] == ["pass"] * MAX_SIGNATURES
    assert replace(found[0]) == found[1]


@pytest.mark.parametrize(
    "field",
    [
        b"DKIM-Signature:\r\n",
        b"DKIM-Signature: v=1; v=1\r\n",
        b"DKIM-Signature: " + b"a=b;" * 200 + b"\r\n",
        b"DKIM-Signature: v=1; b=" + b"A" * 70000 + b"\r\n",
        b"DKIM-Signature: \xff\xfe\r\n",
        b"DKIM-Signature: v=1; a=rsa-sha256; b=A; bh=A; d=[192.0.2.1]; h=from; s=s\r\n",
        b"DKIM-Signature: v=1; a=rsa-sha256; b=A; bh=A; d=x..y; h=from; s=s\r\n",
        b"DKIM-Signature: v=1; a=rsa-sha256; b=AA\x00; bh=A; d=x.y; h=from; s=s\r\n",
    ],
    ids=range(8),
)
def test_what_is_no_signature_is_neutral(field: bytes) -> None:
    assert dkim_words(field + MESSAGE, {}) == ["neutral"]
