"""What each rule sees, and what it passes over."""

from email.utils import formatdate
from typing import Any

import pytest

from mailstack.mailauth.results import Authentication, Dkim, Dmarc, Iprev, Result, Spf
from mailstack.policy.spam.facts import Facts
from mailstack.policy.spam.rules import RULES, look

NOW = 1_790_000_000.0
GOOD = (
    b"From: Carol <carol@far.example>\r\nTo: alice@example.org\r\nSubject: hello\r\n"
    b"Date: " + formatdate(NOW).encode() + b"\r\nMessage-ID: <1@far.example>\r\n\r\n"
)
PASSED = Authentication(Iprev(Result.PASS, name="mail.far.example"), Spf(Result.PASS, "far.example"))


def facts(**changes: Any) -> Facts:
    values: dict[str, Any] = {
        "hostname": "mail.example.org",
        "peer": "192.0.2.77",
        "helo": "mail.far.example",
        "sender": None,
        "header": GOOD,
        "now": NOW,
        "authentication": PASSED,
    }
    return Facts(**{**values, **changes})


def seen(**changes: Any) -> set[str]:
    return {one.rule for one in look(facts(**changes), {})}


def test_an_ordinary_message_has_nothing() -> None:
    assert seen() == set()


@pytest.mark.parametrize(
    ("helo", "rule"),
    [
        ("Mail.Example.Org.", "helo-ours"),
        ("[192.0.2.77]", "helo-literal"),
        ("[192.0.2.78]", "helo-wrong-literal"),
        ("[IPv6:2001:db8::1]", "helo-wrong-literal"),
        ("[nonsense]", "helo-wrong-literal"),
        ("192.0.2.77", "helo-no-name"),
        ("localhost", "helo-no-name"),
        ("a b", "helo-no-name"),
        ("", "helo-no-name"),
        ("x" * 70 + ".test", "helo-no-name"),
        ("[IPv6:::ffff:192.0.2.77]", "helo-literal"),
    ],
)
def test_names_of_senders(helo: str, rule: str) -> None:
    assert seen(helo=helo) == {rule}
    assert seen(helo=helo, here=True) == set()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("c-192-0-2-77.cable.far.example", True),
        ("77.2.0.192.far.example", True),
        ("dyn.far.example", True),
        ("pool7.far.example", True),
        ("mail77.far.example", False),
        ("dynamics.example", False),
        ("mx2.far.example", False),
    ],
)
def test_names_of_lines(name: str, found: bool) -> None:
    known = Authentication(Iprev(Result.PASS, name=name), PASSED.spf)
    assert ("reverse-of-a-line" in seen(authentication=known)) is found


def without(name: bytes) -> bytes:
    return b"".join(line for line in GOOD.splitlines(keepends=True) if not line.startswith(name))


@pytest.mark.parametrize(
    ("header", "rules"),
    [
        (without(b"From"), {"no-from"}),
        (without(b"Date"), {"no-date"}),
        (without(b"Message-ID"), {"no-message-id"}),
        (without(b"To"), {"no-recipients"}),
        (GOOD.replace(b"<1@far.example>", b"1"), {"bad-message-id"}),
        (b"Subject: again\r\n" + GOOD, {"several-subjects"}),
        (b"From: x@y.test\r\n" + GOOD, {"several-from"}),
        (without(b"Date")[:-2] + b"Date: whenever\r\n\r\n", {"odd-date"}),
        (without(b"Date")[:-2] + b"Date: " + formatdate(NOW + 9 * 86400).encode() + b"\r\n\r\n", {"odd-date"}),
        (without(b"Date")[:-2] + b"Date: " + formatdate(NOW - 90 * 86400).encode() + b"\r\n\r\n", {"odd-date"}),
        (GOOD.replace(b"Carol", b'"service@bank.example"'), {"name-is-another-address"}),
        (GOOD.replace(b"Carol", b'"carol@mail.far.example"'), set()),
        (b"\r\n", {"no-from", "no-date", "no-message-id", "no-recipients"}),
    ],
)
def test_headers(header: bytes, rules: set[str]) -> None:
    assert seen(header=header) == rules


@pytest.mark.parametrize(
    ("known", "rules"),
    [
        (Authentication(), {"nobody-answers"}),
        (Authentication(Iprev(Result.FAIL)), {"no-reverse", "nobody-answers"}),
        (Authentication(Iprev(Result.TEMPERROR), Spf(Result.TEMPERROR, "far.example")), set()),
        (Authentication(spf=Spf(Result.FAIL, "far.example")), {"spf-fail", "nobody-answers"}),
        (Authentication(spf=Spf(Result.SOFTFAIL, "far.example")), {"spf-softfail", "nobody-answers"}),
        (
            Authentication(
                spf=Spf(Result.FAIL, "list.test"), dkim=(Dkim(Result.PASS, "far.example"),), dmarc=Dmarc(Result.PASS)
            ),
            {"dmarc-pass"},
        ),
        (Authentication(dkim=(Dkim(Result.FAIL, "far.example"),), spf=Spf(Result.PASS, "far.example")), {"dkim-broken"}),
        (Authentication(dkim=(Dkim(Result.FAIL, "a.test"), Dkim(Result.PASS, "far.example"))), set()),
        (Authentication(dmarc=Dmarc(Result.FAIL, "far.example"), spf=Spf(Result.PASS, "x.test")), {"dmarc-fail"}),
        (None, set()),
    ],
)
def test_who_stands_for_it(known: Authentication | None, rules: set[str]) -> None:
    assert seen(authentication=known) == rules


def test_settings_change_weights() -> None:
    ours = facts(helo="mail.example.org")
    assert look(ours, {})[0].weight == 4.0
    assert look(ours, {"helo-ours": 1.0})[0].weight == 1.0
    assert not look(ours, {"helo-ours": 0})


def test_rules_have_names_of_their_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_a_hostile_header_costs_little() -> None:
    header = b"From: " + b"<a@b.test>," * 25_000 + b"\r\n" + b"Message-ID: " + b"<" * 100_000 + b"\r\n\r\n"
    assert "bad-message-id" in seen(header=header)
