"""Lists in the DNS: names, answers, and what is no answer."""

import pytest

from mailstack.mailauth.dnslist import Answer, DnsList, address_name, domain_name, parse_list, understand


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.99", "99.2.0.192.bl.test"),  # RFC 5782 2.1
        (
            "2001:db8:1:2:3:4:567:89ab",  # RFC 5782 2.4
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.test",
        ),
        ("local", None),
        ("", None),
    ],
)
def test_an_address_is_asked_for_backwards(address: str, name: str | None) -> None:
    assert address_name(address, "bl.test") == name


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("Far.Example.", "far.example.dbl.test"),
        ("localhost", None),
        ("a..b", None),
        ("x" * 64 + ".test", None),
        ("ä.test", None),
    ],
)
def test_a_domain_is_asked_for_as_it_is(domain: str, name: str | None) -> None:
    assert domain_name(domain, "dbl.test") == name


@pytest.mark.parametrize(
    ("answers", "meaning"),
    [
        ([], Answer.CLEAR),
        (["127.0.0.2"], Answer.LISTED),
        (["127.0.0.4", "127.0.0.11"], Answer.LISTED),
        (["127.255.255.254"], Answer.REFUSED),  # an open resolver
        (["127.255.255.255"], Answer.REFUSED),  # too many questions
        (["127.0.0.2", "127.255.255.252"], Answer.REFUSED),
        (["127.0.0.1"], Answer.REFUSED),
        (["127.0.1.255"], Answer.REFUSED),
        (["203.0.113.7"], Answer.REFUSED),  # whoever bought a dead list's domain lists everybody
        (["::1"], Answer.REFUSED),
    ],
)
def test_a_refusal_is_no_listing(answers: list[str], meaning: Answer) -> None:
    assert understand(answers) is meaning


def test_some_answers_count_alone() -> None:
    one = parse_list("bl.test/127.0.0.2-4,127.0.0.10 2.5")
    assert (one.zone, one.weight, one.rule) == ("bl.test", 2.5, "list:bl.test")
    assert [understand([f"127.0.0.{last}"], one.codes) for last in (2, 4, 5, 10)] == [
        Answer.LISTED,
        Answer.LISTED,
        Answer.CLEAR,
        Answer.LISTED,
    ]
    assert parse_list(" Good.Test.  -1 ") == DnsList("good.test", -1.0)


@pytest.mark.parametrize(
    "text", ["", "bl.test", "bl.test x", "bl 1", "bl.test/10.0.0.1 1", "bl.test/127.0.0.9-2 1", "bl.test/x 1", "bl.test 100"]
)
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse_list(text)
