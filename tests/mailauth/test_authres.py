"""Authentication-Results: what is written can be read back, what others write is read, what is forged is found (RFC 8601)."""

import authres
import pytest

from mailstack.mailauth.authres import write
from mailstack.mailauth.authres_reading import AuthenticationResults, MethodResult, forged, read, sealed
from mailstack.mailauth.results import Arc, ArcSet, Authentication, Dkim, Dmarc, Iprev, Request, Result, Spf
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import fields, remove_fields

HOST = "mail.a.test"
NASTY = 'x"; dkim=pass (\\ \r\n\u00e9\x00)' + "y" * 500


def test_what_is_written_is_read_by_others_too() -> None:
    found = Authentication(
        Iprev(Result.PASS, "2001:db8::1", "mx.far.test"),
        Spf(Result.FAIL, "far.test", "not allowed"),
        Spf(Result.NONE, "mx.far.test"),
        (Dkim(Result.PASS, "far.test", "s", "rsa-sha256", "@far.test", "ab+/cd=="), Dkim(Result.NEUTRAL, reason="no d=")),
        Dmarc(Result.PASS, "far.test", "far.test", Request.REJECT, testing=True),
        Arc(Result.PASS, (ArcSet(1, "list.test", "s", b""),), 1),
    )
    field = write(HOST, found, "carol@far.test")
    ((name, value),) = fields(field)
    assert name == b"Authentication-Results"
    back = read(value)
    assert back.host == HOST
    assert [(one.method, one.result) for one in back.results] == [
        ("iprev", "pass"), ("spf", "fail"), ("spf", "none"),
        ("dkim", "pass"), ("dkim", "neutral"), ("dmarc", "pass"), ("arc", "pass"),
    ]  # fmt: skip
    assert back.results[0].value("policy", "iprev") == "2001:db8::1"
    assert (back.results[1].reason, back.results[1].value("smtp", "mailfrom")) == ("not allowed", "carol@far.test")
    assert back.results[3].value("header", "b") == "ab+/cd=="
    assert back.of("dmarc")[0].value("header", "from") == "far.test"
    theirs = authres.AuthenticationResultsHeader.parse(field.decode().strip())
    assert theirs.authserv_id == HOST
    assert [(one.method, one.result) for one in theirs.results] == [(one.method, one.result) for one in back.results]


def test_text_of_others_cannot_break_out() -> None:
    found = Authentication(
        Iprev(Result.FAIL, "192.0.2.1", reason=NASTY),
        Spf(Result.PERMERROR, NASTY, NASTY),
        Spf(Result.FAIL, NASTY, NASTY),
        (Dkim(Result.FAIL, NASTY, NASTY, NASTY, NASTY, NASTY, reason=NASTY),) * 8,
        Dmarc(Result.FAIL, NASTY, NASTY, reason=NASTY),
        Arc(Result.FAIL, reason=NASTY),
    )
    for sender in (NASTY, ""):
        field = write(HOST, found, sender)
        assert field.isascii()
        assert len(fields(field)) == 1
        assert max(map(len, field.split(b"\r\n"))) <= 998
        results = read(fields(field)[0][1]).results
        assert not [one for one in results if one.result == "pass"]
        assert len(results) == 1 + (2 if sender else 1) + 8 + 1 + 1


@pytest.mark.parametrize(
    ("value", "result"),
    [
        # RFC 8601 appendix B, in short.
        (b" example.org 1; none", AuthenticationResults("example.org", ())),
        (b"Example.COM.; spf=pass smtp.mailfrom=example.net",
         AuthenticationResults("example.com", (MethodResult("spf", "pass", "", (("smtp", "mailfrom", "example.net"),)),))),
        (b'"example.com"; auth=pass (cram-md5) smtp.auth=sender@example.net; dkim=fail reason="bad; very" header.i=@x.test',
         AuthenticationResults("example.com", (
             MethodResult("auth", "pass", "", (("smtp", "auth", "sender@example.net"),)),
             MethodResult("dkim", "fail", "bad; very", (("header", "i", "@x.test"),)),
         ))),
        (b"foo.example.net (foobar) 1 (baz);\r\n dkim (I like it) / 1 (One) = (wait for it) fail\r\n policy (A dot) ."
         b" (like that) expired\r\n (this) = (as it was) 1362471462",
         AuthenticationResults("foo.example.net", (MethodResult("dkim", "fail", "", (("policy", "expired", "1362471462"),)),))),
        (b"x.test;", AuthenticationResults("x.test", ())),
    ],
)  # fmt: skip
def test_reading(value: bytes, result: AuthenticationResults) -> None:
    assert read(value) == result
    assert sealed(b" i=1; " + value) == result


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b";",
        b"x y z; none",
        b"x.test; dkim",
        b"x.test; =pass",
        b"x.test; (",
        b'x.test; "',
        b"(" * 70000,
        b"x.test; a.b=c=d .=",
    ],
)
def test_what_can_not_be_read(value: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        read(value)


@pytest.mark.parametrize(
    ("field", "ours"),
    [
        (b"Authentication-Results: mail.a.test; dkim=pass", True),
        (b"authentication-results : MAIL.A.TEST. 1; none", True),
        (b"Authentication-Results: (x)\r\n\tmail.a.test\r\n ; none", True),
        (b'Authentication-Results: "mail.a.test"; none', True),
        (b"Authentication-Results: (mail.b.test) m(x)ail.a.test; none", False),
        (b"Authentication-Results: mail.a.test broken; (", True),
        (b"Authentication-Results: sub.mail.a.test; none", False),
        (b"Authentication-Results: mail.b.test; spf=pass smtp.mailfrom=mail.a.test", False),
        (b"ARC-Authentication-Results: i=1; mail.a.test; none", False),
        (b"X-Authentication-Results: mail.a.test; none", False),
    ],
)
def test_forged_ones_are_found(field: bytes, ours: bool) -> None:
    header = b"From: x@y.test\r\n" + field + b"\r\nSubject: Authentication-Results: mail.a.test; none\r\n\r\n"
    assert forged(header, HOST) == ((field + b"\r\n",) if ours else ())


@pytest.mark.timeout(120)
def test_a_header_full_of_forgeries_takes_no_time() -> None:
    fields_ = b"".join(b"Authentication-Results: mail.a.test; x=y%d\r\n" % number for number in range(3_000))
    found = forged(fields_ + b"\r\n", HOST)
    assert len(found) == 3_000
    assert remove_fields(fields_ + b"Subject: x\r\n\r\n", (), frozenset(found)) == b"Subject: x\r\n\r\n"
