"""MTA-STS as it is published: cases both ways, and anything else is a SyntaxProblem."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.mailauth.dane import Tlsa, verify
from mailstack.message.errors import SyntaxProblem
from mailstack.wire.mta_sts import LONGEST, Mode, StsPolicy, parse_policy, parse_record

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "200"))
GOOD = b"version: STSv1\r\nmode: enforce\r\nmx: mail.b.test\r\nmx: *.Example.net\r\nmax_age: 86400\r\n"


def test_a_policy_is_read_and_written() -> None:
    policy = parse_policy(GOOD)
    assert policy == StsPolicy(Mode.ENFORCE, ("mail.b.test", "*.example.net"), 86400)
    assert parse_policy(str(policy).encode()) == policy
    assert parse_policy(GOOD.replace(b"\r\n", b"\n") + b"\nmode: none\nnew_field: x\n") == policy
    assert parse_policy(b"version:STSv1\nmode:none\nmax_age:9999999999").max_age == LONGEST


@pytest.mark.parametrize(
    "data",
    [
        b"", b"version: STSv2\nmode: none\nmax_age: 1", b"mode: none\nmax_age: 1", GOOD.replace(b"enforce", b"Enforce"),
        GOOD.replace(b"86400", b"-1"), GOOD.replace(b"86400", b"1e3"), GOOD.replace(b"mx: ", b"m: "), GOOD + b"nothing\n",
        GOOD.replace(b"*.Ex", b"a.*.ex"), GOOD.replace(b"mail.b", b"mail .b"), GOOD.replace(b"mail", b"\xff"),
        GOOD + b"mx: " + b"a" * 300 + b"\n", GOOD + b"mx: x.test\n" * 1001, GOOD + b"x: y\n" * 20000,
    ],
    ids=range(14),
)  # fmt: skip
def test_what_is_no_policy(data: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        parse_policy(data)


@pytest.mark.parametrize(
    ("host", "fits"),
    [("mail.b.test", True), ("MAIL.B.test.", True), ("x.example.net", True), ("x.y.example.net", False),
     ("example.net", False), ("b.test", False), ("xmail.b.test", False), ("", False)],
)  # fmt: skip
def test_hosts_that_fit(host: str, fits: bool) -> None:
    assert parse_policy(GOOD).fits(host) is fits


@pytest.mark.parametrize(
    ("texts", "id"),
    [
        (["v=STSv1; id=20160831085700Z;"], "20160831085700Z"), (["x", "v=STSv1;id=1"], "1"),
        (["v=STSv1; id=1", "v=STSv1; id=2"], None),
        (["v=STSv1; id="], None), (["v=STSv1"], None), (["v=STSv1; id=a b"], None), (["v=STSv10; id=1"], None),
        (["v=STSv1; id=" + "1" * 33], None), ([" v=STSv1; id=1"], None), ([], None),
    ],
)  # fmt: skip
def test_records(texts: list[str], id: str | None) -> None:
    assert parse_record(texts) == id


PIECES = st.lists(
    st.sampled_from([b"version", b": ", b"STSv1", b"\n", b"mode", b"enforce", b"mx", b"*.", b"a.b", b"max_age", b"9", b"\xff"])
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.one_of(st.binary(max_size=200), PIECES.map(b"".join)))
def test_anything_is_a_policy_or_a_problem(data: bytes) -> None:
    try:
        assert parse_policy(parse_policy(data).__str__().encode()) == parse_policy(data)
    except SyntaxProblem:
        pass
    parse_record([data.decode("latin-1")])


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.lists(st.builds(Tlsa, st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=70))),
    st.lists(st.binary(max_size=50)),
)
def test_any_records_and_certificates_give_a_word(records: list[Tlsa], chain: list[bytes]) -> None:
    assert isinstance(verify(tuple(records), chain, ("a.test",), 1e9), str)
