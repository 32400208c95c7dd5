"""What leaves to others: signed, forwarded, in 7-bit, reported."""

import base64
import email
import hashlib
import random
import re

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from mailstack.mailauth.canon import BodyHash, relaxed
from mailstack.mailauth.dkim import dns_record, generate, load, sign
from mailstack.message.address import Address
from mailstack.message.downgrade import to_7bit
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import fields, split_header
from mailstack.message.report import Action, RecipientReport, delivery_status
from mailstack.message.srs import DAYS, forward, reverse

BODIES = [b"", b"\r\n", b"\r\n\r\n", b"a \t b  \r\n\r\n\r\n", b"no end", b"x\r\n \r\n\t\r\ny\r\n", b"a\r\n" * 5000]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_rsa_signatures_hold_for_another_program(body: bytes, size: int) -> None:
    key = load(RSA, "a.test", "r")
    header = b"From: Al <a@a.test>\r\nTo: b@b.test\r\nSubject: folded\r\n\tline  two\r\n\r\n"
    digest = BodyHash()
    for place in range(0, len(body), size):
        digest.update(body[place : place + size])
    signature = sign(header, digest.digest(), [key], 1_700_000_000)
    record = dns_record(key).encode()
    assert dkim.verify(signature + header + body, dnsfunc=lambda name, timeout=5: record)
    assert not dkim.verify(signature + header.replace(b"folded", b"forged") + body, dnsfunc=lambda name, timeout=5: record)
    assert not dkim.verify(signature + b"From: evil@far.test\r\n" + header + body, dnsfunc=lambda name, timeout=5: record)


RSA = generate("rsa")


def test_ed25519_signatures_hold() -> None:
    key = load(generate("ed25519"), "a.test", "e")
    assert isinstance(key.key, ed25519.Ed25519PrivateKey)
    header = b"From: a@a.test\r\n\r\n"
    digest = BodyHash()
    field = sign(header, digest.digest(), [key], 1)
    (name, value), *_ = fields(field)
    signature = base64.b64decode(re.sub(rb"\s", b"", value.rpartition(b"b=")[2]))
    unsigned = value[: value.rindex(b"b=") + 2]
    text = relaxed(b"from", b"a@a.test") + b"\r\n" + relaxed(name, unsigned)
    key.key.public_key().verify(signature, hashlib.sha256(text).digest())


@given(st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"\r", b"b"]), max_size=20), st.integers(1, 6))
def test_the_body_hash_does_not_depend_on_the_blocks(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    whole, parts = BodyHash(), BodyHash()
    whole.update(data)
    for place in range(0, len(data), size):
        parts.update(data[place : place + size])
    assert whole.digest() == parts.digest()


def test_srs_there_and_back() -> None:
    sender = Address("ann", "far.test")
    address = forward(sender, "a.test", "secret", 20_000)
    assert address.domain == "a.test"
    assert reverse(address, "secret", 20_000 + DAYS - 1) == sender
    for other in (forward(sender, "a.test", "other", 20_000), Address("SRS0=x=y=z=a", "a.test"), Address("SRS0", "a.test")):
        with pytest.raises(SyntaxProblem):
            reverse(other, "secret", 20_000)
    with pytest.raises(SyntaxProblem):
        reverse(address, "secret", 20_000 + DAYS)
    second = forward(address, "b.test", "two", 20_000)
    assert second.local.startswith("SRS1=")
    assert reverse(second, "two", 20_000) == address


@pytest.mark.parametrize(
    "data",
    [
        "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\ncaf\u00e9 \r\nline\r\n",
        "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nplain\r\n"
        "--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n\u00fc\r\n--b\r\nContent-Type: application/x\r\n\r\n\u00e4\u00e4\r\n--b--\r\n",
    ],
)
def test_eight_bit_becomes_seven(data: str) -> None:
    before, after = email.message_from_bytes(data.encode()), email.message_from_bytes(to_7bit(data.encode()))
    assert to_7bit(data.encode()).isascii()
    for old, new in zip(before.walk(), after.walk(), strict=True):
        if not old.is_multipart():
            assert new.get_payload(decode=True).rstrip() == old.get_payload(decode=True).rstrip()
            assert new.get_content_type() == old.get_content_type()


def test_seven_bit_keeps_its_octets() -> None:
    assert to_7bit(b"Subject: x\r\n\r\nabc\r\n") == b"Subject: x\r\n\r\nabc\r\n"


@pytest.mark.parametrize("whole", [True, False])
def test_a_failure_notice_is_read_by_programs(whole: bool) -> None:
    original = b"Subject: lost\r\nFrom: a@a.test\r\nMessage-ID: <lost.1@a.test>\r\n\r\nbody\r\n"
    data = delivery_status(
        id=f"id{random.Random(1).randrange(10**9)}",
        host="mail.a.test",
        sender=Address("a", "a.test"),
        recipients=[
            RecipientReport(
                Address("b", "b.test"), Action.FAILED, "5.1.1", "550 5.1.1 nobody\nhere", "rfc822;o@b.test", "mx.b.test"
            )
        ],
        moment=1_700_000_000,
        arrived=1_699_999_000,
        envelope_id="env",
        original_header=split_header(original)[0],
        original=original if whole else None,
        about="0mwwhqy3cs84twj1",
    )
    assert b"\n" not in data.replace(b"\r\n", b"")
    message = email.message_from_bytes(data)
    assert message.get_content_type() == "multipart/report"
    text, status, inner = message.get_payload()
    assert "nobody" in text.get_payload()
    assert status.get_payload()[0]["Original-Envelope-Id"] == "env"
    assert status.get_payload()[1]["Final-Recipient"] == "rfc822; b@b.test"
    assert status.get_payload()[1]["Status"] == "5.1.1"
    assert status.get_payload()[1]["Final-Log-ID"] == "0mwwhqy3cs84twj1"
    assert "with the number 0mwwhqy3cs84twj1" in text.get_payload()
    assert message["In-Reply-To"] == message["References"] == "<lost.1@a.test>"
    assert inner.get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")
    assert "Subject: lost" in inner.as_string()
