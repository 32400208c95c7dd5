"""Parsers of what strangers sign and publish: a value or what they say they raise, nothing else, whatever comes in."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.mailauth.authres import write
from mailstack.mailauth.authres_reading import forged, read, sealed
from mailstack.mailauth.canon import Canon
from mailstack.mailauth.dmarc_record import parse_record
from mailstack.mailauth.keys import NoKey, parse_key
from mailstack.mailauth.results import Authentication, Dkim, Dmarc, Iprev, Result, Spf
from mailstack.mailauth.signed import unsigned
from mailstack.mailauth.tags import parse_tags
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import fields
from tests.support.corpus import mails
from tests.support.judging import judged

LONG = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "5000"))


def pieces_of(*pieces: str | bytes, size: int = 16) -> st.SearchStrategy[Any]:
    empty = type(pieces[0])()
    return st.lists(st.sampled_from(pieces), max_size=size).map(empty.join)


TAGS = pieces_of(
    *("v=1", "v=DMARC1", "v=DKIM1", "a=rsa-sha256", "a=ed25519-sha256", "b=AAAA", "bh=", "d=far.test", "s=s", "h=from", "h="),
    *(
        "i=1",
        "i=@x",
        "cv=none",
        "cv=pass",
        "l=5",
        "l=-1",
        "x=9",
        "t=1",
        "t=y",
        "p=AAAA",
        "p=reject",
        "k=ed25519",
        "c=simple",
        "q=dns",
    ),
    *("rua=mailto:a@b", "np=none"),
    *(";", ";", "; ", " ", "\r\n\t", "=", ":", "\u00e9", "\0", "z" * 60),
) | st.text(max_size=40)
RESULTS = pieces_of(
    *(b"mail.a.test", b";", b"; ", b"dkim", b"=", b"pass", b" header", b".", b"d", b"/", b"1", b" ", b"(", b")", b"\\", b'"'),
    *(b"reason=", b"\r\n\t", b"\xff", b"none", b"i=1; "),
) | st.binary(max_size=40)
HEADER = st.lists(
    st.tuples(
        st.sampled_from(
            [
                b"DKIM-Signature: ",
                b"ARC-Seal: i=1; ",
                b"ARC-Message-Signature: i=1;",
                b"ARC-Authentication-Results: i=1;",
                b"From: ",
            ]
        ),
        TAGS,
    ).map(lambda one: one[0] + one[1].replace("\r\n\t", "\v").encode("utf-8", "replace").replace(b"\v", b"\r\n\t") + b"\r\n"),
    max_size=6,
).map(b"".join)


def check_tags(text: str) -> None:
    try:
        found = parse_tags(text)
    except SyntaxProblem:
        return
    assert parse_tags("; ".join(f"{name}={value}" for name, value in found.items())) == found


def check_records(text: str) -> None:
    for algorithm in ("rsa-sha256", "ed25519-sha256"):
        try:
            parse_key(text, algorithm)
        except NoKey:
            pass
    try:
        parse_record(text)
    except SyntaxProblem:
        pass


def check_results(value: bytes) -> None:
    for reader in (read, sealed):
        try:
            found = reader(value)
        except SyntaxProblem:
            continue
        assert found.host
        assert all(one.method for one in found.results)
    forged(b"Authentication-Results: " + value + b"\r\n\r\n", "mail.a.test")


def check_header(header: bytes) -> None:
    found, chain = judged(header + b"\r\nbody\r\n", {"s._domainkey.far.test": "v=DKIM1; k=ed25519; p=" + "A" * 43 + "="})
    assert all(one.result in Result for one in found)
    assert chain.result in (Result.NONE, Result.FAIL)


def check_written(text: str) -> None:
    found = Authentication(
        Iprev(Result.FAIL, "192.0.2.1", reason=text), Spf(Result.FAIL, text, text), Spf(),
        (Dkim(Result.FAIL, text, text, reason=text),), Dmarc(Result.FAIL, text),
    )  # fmt: skip
    written = write("mail.a.test", found, text)
    ((_, value),) = fields(written)
    assert not [one for one in read(value).results if one.result == "pass"]


CHECKS: list[tuple[Callable[[Any], None], st.SearchStrategy[Any]]] = [
    (check_tags, TAGS),
    (check_records, TAGS),
    (check_results, RESULTS),
    (check_header, HEADER),
    (check_written, RESULTS.map(lambda one: one.decode("latin-1")) | st.text(max_size=100)),
]


@pytest.mark.parametrize(("check", "strategy"), CHECKS, ids=[check.__name__ for check, _ in CHECKS])
def test_anything(check: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    settings(max_examples=100, deadline=None)(given(strategy)(check))()


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("check", "strategy"), CHECKS, ids=[check.__name__ for check, _ in CHECKS])
def test_anything_long(check: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    settings(max_examples=LONG, deadline=None)(given(strategy)(check))()


@pytest.mark.timeout(120)
def test_hostile_fields_take_no_time() -> None:
    for value in (b"(" * 60_000, b"()" * 30_000, b'"' * 60_000, b" =" * 30_000, b"a.b=c " * 10_000, b"\\" * 60_000):
        check_results(value)
    for text in ("a=b;" * 100_000, "=" * 100_000, " " * 100_000, "b=" * 50_000):
        check_tags(text)
        check_records(text)
        unsigned(b"DKIM-Signature: " + text.encode(), Canon.RELAXED)


def test_collected_mails_are_judged() -> None:
    words: set[str] = set()
    for _, data in mails():
        found, chain = judged(data, {})
        words |= {str(one.result) for one in found} | {str(chain.result)}
    assert {"permerror", "none"} <= words
