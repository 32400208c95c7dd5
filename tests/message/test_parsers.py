"""Parsers of addresses, headers and what is made of them: a value or a SyntaxProblem, nothing else, whatever comes in."""

import email
import hashlib
import os
import re
from collections.abc import Callable
from typing import Any

import dkim.canonicalization
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.mailauth.canon import BodyHash, relaxed
from mailstack.message.address import MAX_ADDRESS, Address, normalise_domain, parse_address, parse_path
from mailstack.message.addresslist import Entry, Group, mailboxes
from mailstack.message.crlf import LineEnds
from mailstack.message.downgrade import to_7bit
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import addresses, decode_words, every, fields, first, remove_fields, split_header
from mailstack.message.report import Action, RecipientReport, delivery_status
from mailstack.message.srs import forward, reverse
from mailstack.message.trace import count_received, received_field, return_path

LONG = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "5000"))


def pieces_of(*pieces: str | bytes, size: int = 12) -> st.SearchStrategy[Any]:
    empty = type(pieces[0])()
    return st.lists(st.sampled_from(pieces), max_size=size).map(empty.join)


ADDRESS_TEXT = pieces_of(
    *("a", "B", "\u00e9", "e\u0301", ".", "@", '"', "\\", " ", "+", "=", "SRS0=", "x.test", "[127.0.0.1]", "[IPv6:::1]"),
    *("<", ">", "\uff41", "\u3002", "xn--bcher-kva", "-", "_", "\r\n", "\0", ":", ",", "@r.test:", "(c)", "x" * 60),
    *("\u200d", "\udcff"),
) | st.text(max_size=30)
HEADER = pieces_of(
    *(b"From: ", b"from : ", b"To:", b"Subject: x", b"Bcc: y", b"\r\n", b"\r\n ", b"\r\n\t", b"\n", b"\r", b"\0", b":"),
    *(b"a@b.test", b"\xff", b"\xc3\xa9", b"=?utf-8?q?x=40y?=", b"=?utf-8?b?w6k=?=", b"=?x?Q?=ZZ?=", b"group:", b" "),
    *(b"<", b">", b",", b";", b"(", b")", b'"', b"\\", b"@"),
    size=20,
)


def check_address(text: str) -> None:
    try:
        address = parse_address(text)
    except SyntaxProblem:
        pass
    else:
        again = parse_address(str(address))
        assert again == address
        assert parse_path(f"<{address}>") == address
        assert address.domain == address.domain.lower() or address.domain.startswith("[IPv6:")
        assert address.domain.isascii()
        assert len(str(address).encode()) <= MAX_ADDRESS
        assert not set(str(address)) & set("\r\n\0")
        assert (
            parse_address(address.key.rpartition("@")[0] + "@" + address.domain).key == address.key
            or "@" in address.local
            or (str(address)[0] == '"')
        )
    for parse in (parse_path, normalise_domain):
        try:
            parse(text)
        except SyntaxProblem:
            pass


def check_header(data: bytes) -> None:
    header, body = split_header(data)
    assert header + body == data
    assert remove_fields(header, frozenset()) == header
    found = fields(header)
    for name, _ in found:
        assert first(header, name) == every(header, name)[0]
    without = remove_fields(header, frozenset({b"from", b"bcc"}))
    assert first(without, b"from") is None
    assert first(without, b"Bcc") is None
    for value in every(header, b"from"):
        for one in addresses(value):
            address = one.address
            assert address is None or parse_address(str(address)) == address
    assert isinstance(decode_words(data), str)
    count_received(header)


def check_list(value: bytes) -> None:
    depth = 0
    for entry in mailboxes(value):
        assert isinstance(entry, Entry | Group)
        if isinstance(entry, Group):
            depth += 1 if entry.name is not None else -1
            assert depth in (0, 1)
    assert depth == 0


def check_srs(pair: tuple[str, str]) -> None:
    local, domain = pair
    try:
        sender = parse_address(f"{local}@{domain}")
    except SyntaxProblem:
        return
    made = forward(sender, "a.test", "secret", 20_000)
    assert reverse(made, "secret", 20_003).key == sender.key
    if len(str(made).encode()) <= MAX_ADDRESS:
        # The way over the wire and back, and a host that folds case.
        for wire in (str(made), str(made).lower()):
            back = parse_path(f"<{wire}>")
            assert back is not None
            assert reverse(back, "secret", 20_003).key == sender.key
    twice = forward(made, "b.test", "other", 20_000)
    # SRS1 leads past the forwarders between, to the first one.
    assert reverse(twice, "other", 20_000).key == (made if made.local.startswith("SRS0=") else sender).key
    try:
        reverse(Address(local, "a.test"), "secret", 20_000)
    except SyntaxProblem:
        pass


def check_body(data: bytes) -> None:
    ours = BodyHash()
    for place in range(0, len(data), 3):
        ours.update(data[place : place + 3])
    # A last line without its end gets one on its way.
    theirs = dkim.canonicalization.Relaxed.canonicalize_body(data if data.endswith(b"\r\n") or not data else data + b"\r\n")
    assert ours.digest() == hashlib.sha256(theirs).digest(), (data, theirs)


def check_relaxed(pair: tuple[bytes, bytes]) -> None:
    name, value = pair
    (theirs,) = dkim.canonicalization.Relaxed.canonicalize_headers([(name, value + b"\r\n")])
    assert relaxed(name, value) + b"\r\n" == theirs[0] + b":" + theirs[1]


def check_downgrade(data: bytes) -> None:
    done = to_7bit(data)
    assert done.isascii()
    if data.isascii():
        assert done == data
    ends = LineEnds()
    ends.look(done)
    ends.finish()
    assert not ends.bare
    assert not ends.nul


def check_report(given_: tuple[str, str, str, bytes]) -> None:
    said, original, envelope_id, header = given_
    told = RecipientReport(Address("x\u00e9", "c.test"), Action.FAILED, "5.0.0", said, f"rfc822;{original}", "mx.c.test", 9.0)
    data = delivery_status(
        id="0" * 16, host="mail.a.test", sender=Address("b\u00f6b", "b.test"), recipients=[told], moment=0.0, arrived=0.0,
        envelope_id=envelope_id, original_header=header, original=None,
    )  # fmt: skip
    assert not set(data.replace(b"\r\n", b"")) & set(b"\r\n\0")
    head, _, _ = data.partition(b"Content-Type: text/rfc822-headers")
    assert max(map(len, head.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(data)
    assert message.get_content_type() == "multipart/report"
    kinds = [part.get_content_type() for part in message.get_payload()]
    assert kinds == ["text/plain", "message/delivery-status", "text/rfc822-headers"]
    about, recipient = message.get_payload()[1].get_payload()
    assert set(about.keys()) <= {"Reporting-MTA", "Original-Envelope-Id", "Arrival-Date"}
    assert recipient["Final-Recipient"] == "utf-8; x\\x{E9}@c.test"
    assert recipient["Status"] == "5.0.0"


def check_trace(texts: tuple[str, str]) -> None:
    helo, name = texts
    made = received_field(
        helo=helo, peer="192.0.2.1", peer_name=name or None, host="mail.a.test", protocol="ESMTP", id="1", moment=0.0, tls=helo
    )
    assert count_received(made) == 1
    assert len(fields(made)) == 1
    assert made.isascii()
    assert made.endswith(b"\r\n")
    assert re.fullmatch(rb"(?:[\x20-\x7e\t]+\r\n)+", made)
    assert return_path(None) == b"Return-Path: <>\r\n"


CRLF_TEXT = pieces_of(b"a", b" ", b"\t", b"\r\n", b"b c", b"\xff", b".", b"\r\n\r\n", size=20)
MIME = pieces_of(
    *(b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: text/plain; charset=utf-8\r\n"),
    *(b"Content-Type: message/rfc822\r\n", b"Content-Transfer-Encoding: 8bit\r\n"),
    *(b"Content-Transfer-Encoding:\r\n\tbinary\r\n", b"Subject: \xc3\xa9\r\n", b"\r\n", b"--b\r\n", b"--b--\r\n"),
    *(b"caf\xc3\xa9 =\r\n", b"\xff" * 100, b"x" * 100, b" \r\n", b".\r\n"),
    size=20,
)
CHECKS: list[tuple[Callable[[Any], None], st.SearchStrategy[Any]]] = [
    (check_address, ADDRESS_TEXT),
    (check_header, HEADER | st.binary(max_size=60)),
    (check_list, HEADER | st.binary(max_size=60)),
    (check_srs, st.tuples(ADDRESS_TEXT | st.just("ann"), st.sampled_from(["far.test", "[192.0.2.1]", "x" * 60 + ".test"]))),
    (check_body, CRLF_TEXT),
    (
        check_relaxed,
        st.tuples(st.sampled_from([b"From", b"SUBJECT", b"x-y"]), pieces_of(b"a", b" ", b"\t", b"\r\n ", b"\r\n\t", b"b")),
    ),
    (check_downgrade, MIME),
    (check_report, st.tuples(st.text(max_size=300), st.text(max_size=60), st.text(max_size=60), HEADER)),
    (check_trace, st.tuples(st.text(max_size=60), st.text(max_size=30))),
]


@pytest.mark.parametrize(("check", "strategy"), CHECKS, ids=[check.__name__ for check, _ in CHECKS])
def test_anything(check: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    settings(max_examples=150, deadline=None)(given(strategy)(check))()


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("check", "strategy"), CHECKS, ids=[check.__name__ for check, _ in CHECKS])
def test_anything_long(check: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    settings(max_examples=LONG, deadline=None)(given(strategy)(check))()


@pytest.mark.parametrize(
    "value", [b"(" * 50_000, b"<" * 50_000, b'"' * 50_000, b"a@" * 50_000, b"a:" * 50_000, b"a@b," * 50_000, b"=?x?q?" * 30_000]
)
@pytest.mark.timeout(120)
def test_hostile_lists_take_no_time(value: bytes) -> None:
    mailboxes(value)
    decode_words(value)
