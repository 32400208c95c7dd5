"""DMARC aggregate reports as they are sent (RFC 7489 7.2.1.1 and Appendix C)."""

import base64
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from xml.sax.saxutils import escape

from mailstack.mailauth.dmarc_record import Record


@dataclass(frozen=True, slots=True)
class Seen:
    """Messages from one address that came to the same; `signatures` and `sender` as "domain selector result"."""

    source: str
    count: int
    disposition: str
    dkim: str
    spf: str
    header_from: str
    envelope_from: str
    signatures: tuple[str, ...]
    sender: str
    reason: str


@dataclass(frozen=True, slots=True)
class About:
    """What a report is about, and whose it is. Times in seconds since the epoch."""

    id: str
    domain: str
    record: Record
    start: int
    end: int
    submitter: str
    contact: str


def report_xml(about: About, rows: Iterable[Seen]) -> bytes:
    """The report."""
    record = about.record
    head = (
        _tag("org_name", about.submitter) + _tag("email", about.contact) + _tag("report_id", about.id)
        + f"<date_range>{_tag('begin', about.start)}{_tag('end', about.end)}</date_range>"
    )  # fmt: skip
    published = (
        _tag("domain", about.domain) + _tag("adkim", "s" if record.strict_dkim else "r")
        + _tag("aspf", "s" if record.strict_spf else "r") + _tag("p", record.policy)
        + _tag("sp", record.subdomains or record.policy) + _tag("pct", 0 if record.testing else 100)
    )  # fmt: skip
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<feedback>\n<version>1.0</version>\n'
        f"<report_metadata>{head}</report_metadata>\n<policy_published>{published}</policy_published>\n"
        + "".join(_row(row) for row in rows)
        + "</feedback>\n"
    ).encode()


def _row(row: Seen) -> str:
    reason = f"<reason><type>local_policy</type>{_tag('comment', row.reason)}</reason>" if row.reason else ""
    judged = _tag("disposition", row.disposition) + _tag("dkim", row.dkim) + _tag("spf", row.spf) + reason
    results = "".join(
        f"<dkim>{_tag('domain', domain)}{_tag('selector', selector)}{_tag('result', result)}</dkim>"
        for domain, selector, result in (one.split(" ") for one in row.signatures)
    )
    domain, _, result = row.sender.partition(" ")
    results += f"<spf>{_tag('domain', domain)}{_tag('result', result)}</spf>"
    return (
        f"<record><row>{_tag('source_ip', row.source)}{_tag('count', row.count)}"
        f"<policy_evaluated>{judged}</policy_evaluated></row>"
        f"<identifiers>{_tag('header_from', row.header_from)}{_tag('envelope_from', row.envelope_from)}</identifiers>"
        f"<auth_results>{results}</auth_results></record>\n"
    )


def _tag(name: str, value: object) -> str:
    clean = "".join(character if character.isprintable() else "?" for character in str(value)[:300])
    return f"<{name}>{escape(clean)}</{name}>"


def report_mail(about: About, rows: Iterable[Seen], to: str, moment: float) -> bytes:
    """The message that brings it."""
    name = f"{about.submitter}!{about.domain}!{about.start}!{about.end}!{about.id}.xml.gz"
    packed = base64.encodebytes(gzip.compress(report_xml(about, rows), mtime=0)).decode().replace("\n", "\r\n")
    boundary = f"=_{about.id}"
    return (
        f"From: <{about.contact}>\r\nTo: <{to}>\r\n"
        f"Subject: Report Domain: {about.domain} Submitter: {about.submitter}\r\n Report-ID: <{about.id}@{about.submitter}>\r\n"
        f"Date: {formatdate(moment)}\r\nMessage-ID: <{about.id}@{about.submitter}>\r\nAuto-Submitted: auto-generated\r\n"
        f'MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n\tboundary="{boundary}"\r\n\r\n'
        f"--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        f"This is a report of mail in the name of {about.domain}, as {about.submitter} saw it.\r\n"
        f"\r\n--{boundary}\r\nContent-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n"
        f'Content-Disposition: attachment;\r\n\tfilename="{name}"\r\n\r\n{packed}\r\n--{boundary}--\r\n'
    ).encode()
