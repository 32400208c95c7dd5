"""ARC seals on what is forwarded, as another program (dkimpy) judges them."""

from collections.abc import Callable

import dkim
import pytest

from mailstack.delivery.signing import digested, make_keys
from mailstack.mailauth.arc_seal import seal
from mailstack.mailauth.dkim import SigningKey, dns_record, generate, load
from tests.support.peer import Peer
from tests.support.relay import Relay

TEXT = (
    b"DKIM-Signature: v=1; d=x.test; b=abc\r\nFrom: carol@x.test\r\nTo: list@a.test\r\nSubject: hello\r\n"
    b"Message-ID: <1@x.test>\r\n\r\nbody\r\n"
)
RESULTS = b" mail.a.test;\r\n\tspf=pass smtp.mailfrom=x.test;\r\n\tarc=%b"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return load(generate("rsa"), "a.test", "2026r")


@pytest.fixture
def ask(key: SigningKey) -> Callable[..., bytes]:
    return lambda name, timeout=5: dns_record(key).encode() if name == b"2026r._domainkey.a.test." else b""


def sealed(data: bytes, key: SigningKey, arc: bytes) -> bytes:
    header, digest = digested((data,))
    return seal(header, digest, key, 1767225600, [RESULTS % arc]) + data


def test_chains_hold(key: SigningKey, ask: Callable[..., bytes]) -> None:
    data = TEXT
    for number, arc in enumerate((b"none", b"pass", b"pass"), 1):
        data = sealed(data, key, arc)
        assert data.count(b"ARC-Seal:") == number
        cv, results, reason = dkim.arc_verify(data, dnsfunc=ask)
        assert (cv, len(results)) == (b"pass", number), reason
    cv, _, _ = dkim.arc_verify(data.replace(b"Subject: hello", b"Subject: hullo"), dnsfunc=ask)
    assert cv == b"fail"


def test_a_chain_that_failed_says_so_once(key: SigningKey, ask: Callable[..., bytes]) -> None:
    data = sealed(sealed(TEXT, key, b"none").replace(b"body", b"boody"), key, b"fail")
    assert b"cv=fail" in data
    assert dkim.arc_verify(data, dnsfunc=ask)[0] != b"pass"
    assert sealed(data, key, b"fail") == data


@pytest.mark.parametrize(
    "header",
    [
        b"ARC-Seal: i=1; cv=none\r\n",
        b"ARC-Seal: i=x\r\n",
        b"ARC-Seal: " + b";" * 5000 + b"\r\n",
        b"ARC-Seal: " + b"a;" * 5000 + b"i=1\r\n",
        b"".join(b"ARC-Seal: i=%d; cv=pass\r\nARC-Message-Signature: i=%d\r\nARC-Authentication-Results: i=%d\r\n" % (n, n, n)
                 for n in range(50, 0, -1)),
    ],
    ids=range(5),
)  # fmt: skip
def test_what_is_no_chain_is_not_sealed(key: SigningKey, header: bytes) -> None:
    assert sealed(header + TEXT, key, b"pass") == header + TEXT


@pytest.mark.parametrize("arc", [b"temperror", b"", b'x (; arc=pass); x="; arc=pass"'])
def test_nobody_vouches_for_a_chain_that_was_not_judged(key: SigningKey, arc: bytes) -> None:
    once = sealed(TEXT, key, b"none")
    assert sealed(once, key, arc) == once
    header, digest = digested((TEXT,))
    assert seal(header, digest, key, 1, []) == b""


async def test_forwarded_mail_is_sealed_as_it_leaves(relay: Relay, peer: Peer) -> None:
    keys = make_keys(relay.data.path / "dkim", "a.test", "2026")
    text = b"Authentication-Results:" + RESULTS % b"none" + b"\r\nAuthentication-Results: other.test; arc=pass\r\n" + TEXT
    await relay.settled(await relay.send("bob@b.test", text=text, account=None, sender="SRS0=x@a.test", forwarded=True))
    await relay.settled(await relay.send("bob@b.test", text=text, account=None, sender=None, forwarded=True))
    records = {f"{one.selector}._domainkey.a.test.".encode(): dns_record(one).encode() for one in keys}
    for message in peer.messages:
        cv, _, reason = dkim.arc_verify(message.data, dnsfunc=lambda name, timeout=5: records.get(name, b""))
        assert cv == b"pass", reason
        assert message.data.count(b"other.test") == 1
        assert message.data.endswith(text)
