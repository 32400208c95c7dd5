"""ARC chains: sealed here and judged here, dkimpy beside, and each way in which a chain is none (RFC 8617 5.2)."""

import random
from collections.abc import Callable

import dkim
import pytest

from mailstack.delivery.signing import digested
from mailstack.mailauth.arc import MAX_INSTANCES
from mailstack.mailauth.arc_seal import seal
from mailstack.mailauth.dkim import SigningKey, dns_record, generate, load
from mailstack.mailauth.results import Arc
from tests.support.judging import NOW, Records, asker, judged

TEXT = b"From: carol@far.test\r\nTo: list@a.test\r\nSubject: hello\r\nMessage-ID: <1@far.test>\r\n\r\nbody\r\n"
NAME = "s._domainkey.a.test"


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return load(generate("rsa"), "a.test", "s")


@pytest.fixture(scope="module")
def records(key: SigningKey) -> Records:
    return {NAME: dns_record(key)}


def sealed(data: bytes, key: SigningKey, times: int = 1) -> bytes:
    for _ in range(times):
        header, digest = digested((data,))
        count = data.count(b"ARC-Seal:")
        said = b" mail%d.a.test; dmarc=pass header.from=far.test; arc=%b" % (count + 1, b"pass" if count else b"none")
        data = seal(header, digest, key, NOW, [said]) + data
    return data


def chain(data: bytes, records: Records) -> Arc:
    return judged(data, records)[1]


def test_chains_hold_and_show_who_sealed_them(key: SigningKey, records: Records) -> None:
    assert chain(TEXT, records) == Arc()
    found = chain(sealed(TEXT, key, 3), records)
    assert (found.result, found.instances, found.oldest_pass) == ("pass", 3, 0)
    assert [(one.instance, one.domain, one.selector) for one in found.sets] == [(number, "a.test", "s") for number in (1, 2, 3)]
    assert found.sets[0].results == b"i=1; mail1.a.test; dmarc=pass header.from=far.test; arc=none"


def test_what_a_forwarder_changed_before_he_sealed_is_known(key: SigningKey, records: Records) -> None:
    once = sealed(TEXT, key).replace(b"hello", b"[list] hello")
    found = chain(sealed(once, key, 2), records)
    assert (found.result, found.oldest_pass) == ("pass", 2)
    assert chain(sealed(once, key).replace(b"body", b"more"), records).result == "fail"


def test_dkimpy_agrees_about_changed_chains(key: SigningKey, records: Records) -> None:
    chance = random.Random(8617)
    chains = [sealed(TEXT, key, times) for times in (1, 2, 3)]
    verdicts = set()
    for number in range(60):
        data = chains[number % 3]
        if number > 6:
            place = chance.randrange(len(data))
            data = data[:place] + chance.choice([b" ", b"x", b"=", b"; ", b"\r\n "]) + data[place + chance.randrange(2) :]
        if b"\n" in data.replace(b"\r\n", b"") or not data.endswith(b"\r\n"):
            continue  # dkimpy mends line ends
        try:
            theirs = dkim.arc_verify(data, dnsfunc=asker(records))[0] == b"pass"
        except (dkim.DKIMException, IndexError, KeyError, ValueError):
            theirs = False
        assert (chain(data, records).result == "pass") is theirs, data
        verdicts.add(theirs)
    assert verdicts == {True, False}


def without(name: bytes, instance: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        start = data.index(b"%b: i=%d;" % (name, instance))
        end = start
        while True:
            end = data.index(b"\r\n", end) + 2
            if data[end : end + 1] not in (b"\t", b" "):
                return data[:start] + data[end:]

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without(b"ARC-Seal", 1), "whole"),
        (without(b"ARC-Message-Signature", 2), "whole"),
        (without(b"ARC-Authentication-Results", 1), "whole"),
        (lambda data: without(b"ARC-Seal", 1)(without(b"ARC-Message-Signature", 2)(data)), "whole"),
        (lambda data: data.replace(b"ARC-Seal: i=1", b"ARC-Seal: i=2"), "gap"),
        (lambda data: data.replace(b" i=2;", b" i=3;"), "gap"),
        (lambda data: data.replace(b" i=2;", b" i=0;"), "gap"),
        (lambda data: data.replace(b" i=2;", b" i=;"), "i="),
        (lambda data: data.replace(b"cv=none", b"cv=pass"), "cv="),
        (lambda data: data.replace(b"cv=pass", b"cv=none"), "cv="),
        (lambda data: data.replace(b"cv=pass", b"cv=fail"), "says so"),
        (lambda data: data.replace(b"cv=pass; ", b"", 1).replace(b"cv=pass;", b"", 1), "no cv="),
        (lambda data: data.replace(b"cv=pass;", b"cv=pass; h=from;"), "h="),
        (lambda data: data.replace(b"ARC-Seal: i=2; a=rsa-sha256", b"ARC-Seal: i=2; a=rsa-sha1"), "nothing"),
        (lambda data: data.replace(b"\th=from", b"\th=arc-seal:from"), "signs seals"),
        (lambda data: data.replace(b"\th=from", b"\th=x-from"), "does not match"),
        (lambda data: data.replace(b"body\r\n", b"other\r\n"), "body hash"),
        (lambda data: data.replace(b"mail1.a.test", b"mail9.a.test"), "ARC-Seal 1"),
        (lambda data: data.replace(b"mail2.a.test", b"mail9.a.test"), "ARC-Seal 2"),
        (lambda data: data.replace(b"Subject: hello", b"Subject: hullo"), "Signature 2"),
    ],
)
def test_a_broken_chain_says_why(key: SigningKey, records: Records, change: Callable[[bytes], bytes], why: str) -> None:
    whole = sealed(TEXT, key, 2)
    broken = change(whole)
    assert broken != whole
    found = chain(broken, records)
    assert (found.result, why in found.reason) == ("fail", True), found.reason


def test_keys_decide(key: SigningKey, records: Records) -> None:
    data = sealed(TEXT, key, 2)
    assert chain(data, {NAME: None}).result == "temperror"
    assert chain(data, {}).result == "fail"
    assert chain(data, {NAME: "v=DKIM1; p="}).result == "fail"


def test_no_more_than_fifty_sets(key: SigningKey, records: Records) -> None:
    data = sealed(TEXT, key)
    field = data[: -len(TEXT)]
    many = b"".join(field.replace(b" i=1;", b" i=%d;" % instance) for instance in range(MAX_INSTANCES + 1, 0, -1)) + TEXT
    assert chain(many, records).reason == "more than 50 sets"
    # As many as are allowed are judged in the time of some signatures.
    assert chain(many[len(field) + 3 :], records).result == "fail"
