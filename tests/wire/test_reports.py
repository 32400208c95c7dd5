"""Reports: both ways, and bombs."""

import gzip
import io
import os
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.delivery.report_mail import reports_in
from mailstack.mailauth.dmarc_report import parse_report as parse_dmarc
from mailstack.message.errors import SyntaxProblem
from mailstack.message.unpack import unpack
from mailstack.wire.tlsrpt import Failure, PolicyReport, TlsReport, Wanted, parse_record, parse_report, report_json, report_mail

EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "150"))
TLS = TlsReport(
    "Company-X", "tls@x.test", "abc", 1767225600.0, 1767311999.0,
    (
        PolicyReport(
            "sts", "b.test", ("version: STSv1", "mode: testing"), ("*.b.test",), 5326, 303,
            (
                Failure("certificate-expired", 100, "mx1.b.test", "192.0.2.1", "", "X509"),
                Failure("starttls-not-supported", 203, "mx2.b.test", "", "", ""),
            ),
        ),
        PolicyReport("no-policy-found", "b.test", (), (), 7, 0, ()),
    ),
)  # fmt: skip
DMARC = b"""<?xml version="1.0" encoding="UTF-8" ?>
<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">
  <report_metadata><org_name>acme.test</org_name><email>noreply@acme.test</email><report_id>9391651994964116463</report_id>
    <date_range><begin>1335571200</begin><end>1335657599</end></date_range></report_metadata>
  <policy_published><domain>a.test</domain><adkim>r</adkim><aspf>r</aspf><p>reject</p><sp>none</sp><pct>100</pct></policy_published>
  <record>
    <row><source_ip>192.0.2.7</source_ip><count>12</count>
      <policy_evaluated><disposition>reject</disposition><dkim>fail</dkim><spf>fail</spf>
        <reason><type>mailing_list</type><comment>x &amp; y</comment></reason></policy_evaluated></row>
    <identifiers><header_from>A.test</header_from><envelope_from>b.test</envelope_from></identifiers>
    <auth_results><dkim><domain>b.test</domain><selector>s1</selector><result>pass</result></dkim>
      <spf><domain>b.test</domain><result>pass</result></spf></auth_results>
  </record>
  <record>
    <row><source_ip>2001:db8::1</source_ip><count>2</count>
      <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row>
    <identifiers><header_from>a.test</header_from></identifiers><auth_results/>
  </record>
</feedback>
"""


def zipped(data: bytes, name: str = "a.xml", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as files:
        files.writestr(name, data)
    return out.getvalue()


def test_a_report_of_tls_is_written_and_read() -> None:
    found = parse_report(report_json(TLS))
    assert [(one.kind, one.successes, one.failed, one.failures) for one in found.policies] == [
        (one.kind, one.successes, one.failed, one.failures) for one in TLS.policies
    ]
    assert (found.organisation, found.id, found.start, found.end) == ("Company-X", "abc", TLS.start, TLS.end)
    mail = report_mail(TLS, "b.test", "mail.a.test", "postmaster@a.test", ["tls@b.test"], 1.0)
    assert reports_in(mail) == [found]
    assert b"TLS-Report-Domain: b.test\r\n" in mail
    assert b'filename="mail.a.test!b.test!1767225600!1767311999!001.json.gz"' in mail
    assert all(len(line) < 300 for line in mail.split(b"\r\n"))


def test_a_report_of_dmarc_is_read() -> None:
    found = parse_dmarc(DMARC)
    assert (found.organisation, found.id, found.domain, found.policy) == (
        "acme.test",
        "9391651994964116463",
        "a.test",
        "reject",
    )
    first, second = found.rows
    assert (first.source, first.count, first.disposition, first.dkim, first.spf) == ("192.0.2.7", 12, "reject", "fail", "fail")
    assert (first.header_from, first.envelope_from, first.signers) == ("a.test", "b.test", ("b.test/s1 pass",))
    assert first.reason == "mailing_list x & y"
    assert (second.source, second.dkim, second.signers) == ("2001:db8::1", "pass", ())
    for packed in (DMARC, gzip.compress(DMARC), zipped(DMARC), b"\xef\xbb\xbf" + DMARC):
        assert reports_in(packed) == [found]


@pytest.mark.parametrize(
    ("texts", "mail", "web"),
    [
        (["v=TLSRPTv1; rua=mailto:a@b.test,mailto:c@d.test"], ("a@b.test", "c@d.test"), ()),
        (["v=TLSRPTv1;rua=https://x.test/y?z=1,mailto:a@b.test!10m"], ("a@b.test",), ("https://x.test/y?z=1",)),
        (["v=TLSRPTv1; rua=HTTPS://x.test:8443/y ;"], (), ("HTTPS://x.test:8443/y",)),
        (["v=TLSRPTv1; rua=http://x.test/y,https://a b/,https://"], (), ()), (["v=TLSRPTv1"], (), ()),
        (["v=TLSRPTv1; rua=mailto:"], (), ()), (["v=TLSRPTv2; rua=mailto:a@b"], (), ()),
        (["v=TLSRPTv1; rua=mailto:a@b.test", "v=TLSRPTv1; rua=mailto:a@b.test"], (), ()),
    ],
)  # fmt: skip
def test_who_wants_reports(texts: list[str], mail: tuple[str, ...], web: tuple[str, ...]) -> None:
    assert parse_record(texts) == Wanted(mail, web)


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%b">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><feedback>&j;</feedback>"
)
RECORD = b"<record><row><count>1</count></row></record>"
BOMBS = {
    "laughs": LAUGHS,
    "outside": b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><feedback/>',
    "gzip": gzip.compress(b"<" * (64 << 20)),
    "zip": zipped(b"<" * (64 << 20)),
    "gzip of gzips": gzip.compress(gzip.compress(b"\0" * (64 << 20))),
    "bzip2": zipped(DMARC, method=zipfile.ZIP_BZIP2),
    "deep": b"<a>" * 100_000,
    "wide": b"<feedback>" + b"<a/>" * 310_000 + b"</feedback>",
    "records": b"<feedback>" + RECORD * 50_000 + b"</feedback>",
    "one long text": b"<feedback><a>" + b"x" * 9_000_000 + b"</a></feedback>",
    "attributes": b"<feedback " + b"".join(b'a%d="" ' % n for n in range(100_000)) + b"/>",
    "JSON": b"[" * 1_000_000,
    "JSON of policies": b'{"report-id":"x","date-range":{},"policies":[' + b",".join([b"{}"] * 100_000) + b"]}",
    "JSON of a number": b'{"report-id":"x","date-range":{"start-datetime":"2026-01-01","end-datetime":1e999}}',
    "empty zip": zipped(b"", "folder/"),
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_bombs(name: str) -> None:
    with pytest.raises(SyntaxProblem):
        reports_in(BOMBS[name] if BOMBS[name][:1] != b"[" else b"{" + BOMBS[name])


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_anything_is_a_report_or_a_problem(data: st.DataObject) -> None:
    text = bytearray(data.draw(st.sampled_from([DMARC, report_json(TLS), gzip.compress(DMARC), zipped(DMARC), b""])))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(text)))
        text[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=5))
    try:
        reports_in(bytes(text))
    except SyntaxProblem:
        pass
    try:
        unpack(bytes(text), 100)
    except SyntaxProblem:
        pass
