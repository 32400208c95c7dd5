"""Reports of TLS between mail hosts (RFC 8460): who wants them, what they say, and the mail that brings them."""

import base64
import datetime
import gzip
import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import orjson

from mailstack.message.errors import SyntaxProblem

REPORT_POLICIES = 1000
REPORT_DETAILS = 10_000
TEXT_LIMIT = 300
RECEIVERS = 10  # of each kind that are read
_MAILTO = re.compile(r"mailto:([^?,!\s]+)", re.IGNORECASE)
_HTTPS = re.compile(r"https://[!-+\--:<-~]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Failure:
    """Sessions that failed in the same way."""

    result: str
    count: int
    host: str = ""
    address: str = ""  # of the receiving host
    sender: str = ""  # address of the sending host
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """What sessions under one policy came to."""

    kind: str  # "sts", "tlsa", "no-policy-found"
    domain: str
    lines: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    successes: int = 0
    failed: int = 0
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsReport:
    """Of a time, in seconds since the epoch."""

    organisation: str
    contact: str
    id: str
    start: float
    end: float
    policies: tuple[PolicyReport, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where reports are to go: mail addresses, and URLs of https:."""

    mail: tuple[str, ...] = ()
    web: tuple[str, ...] = ()


def parse_record(texts: list[str]) -> Wanted:
    """Who wants reports, from the TXT records at _smtp._tls (RFC 8460 3)."""
    ours = [text for text in texts if re.match(r"v=TLSRPTv1\s*(?:;|\Z)", text)]
    if len(ours) != 1:
        return Wanted()
    for one in ours[0].split(";"):
        name, _, value = one.partition("=")
        if name.strip().lower() == "rua":
            places = [place.strip() for place in value.split(",")]
            mail = [found[1] for place in places if (found := _MAILTO.match(place)) is not None]
            web = [place for place in places if _HTTPS.fullmatch(place) is not None]
            return Wanted(tuple(mail[:RECEIVERS]), tuple(web[:RECEIVERS]))
    return Wanted()


# Made ----------------------------------------------------------------------------------------------------------------


def report_json(report: TlsReport) -> bytes:
    """RFC 8460 4.4."""
    return orjson.dumps(
        {
            "organization-name": report.organisation,
            "date-range": {"start-datetime": _moment(report.start), "end-datetime": _moment(report.end)},
            "contact-info": report.contact,
            "report-id": report.id,
            "policies": [_policy_json(policy) for policy in report.policies],
        }
    )


def packed(report: TlsReport) -> bytes:
    """The report as application/tlsrpt+gzip (RFC 8460 6.4)."""
    return gzip.compress(report_json(report), mtime=0)


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _policy_json(policy: PolicyReport) -> dict[str, Any]:
    about: dict[str, Any] = {"policy-type": policy.kind, "policy-domain": policy.domain}
    if policy.lines:
        about["policy-string"] = list(policy.lines)
    if policy.hosts:
        about["mx-host"] = list(policy.hosts)
    details = []
    for one in policy.failures:
        fields = {
            "result-type": one.result,
            "sending-mta-ip": one.sender,
            "receiving-mx-hostname": one.host,
            "receiving-ip": one.address,
            "failed-session-count": one.count,
            "failure-reason-code": one.reason,
        }
        details.append({name: value for name, value in fields.items() if value not in ("", None)})
    summary = {"total-successful-session-count": policy.successes, "total-failure-session-count": policy.failed}
    return {"policy": about, "summary": summary} | ({"failure-details": details} if details else {})


def report_mail(report: TlsReport, domain: str, submitter: str, sender: str, to: Iterable[str], moment: float) -> bytes:
    """The message that brings a report about `domain` (RFC 8460 5.3); `submitter`: this server's name."""
    name = f"{submitter}!{domain}!{int(report.start)}!{int(report.end)}!001.json.gz"
    text = base64.encodebytes(packed(report)).decode().replace("\n", "\r\n")
    boundary = f"=_{report.id}"
    return (
        f"From: <{sender}>\r\nTo: {', '.join(f'<{one}>' for one in to)}\r\n"
        f"Subject: Report Domain: {domain} Submitter: {submitter}\r\n Report-ID: <{report.id}@{submitter}>\r\n"
        f"TLS-Report-Domain: {domain}\r\nTLS-Report-Submitter: {submitter}\r\n"
        f"Date: {formatdate(moment)}\r\nMessage-ID: <{report.id}@{submitter}>\r\nAuto-Submitted: auto-generated\r\n"
        # RFC 8689 5: a report about broken TLS must not be stopped by it.
        "TLS-Required: No\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: multipart/report; report-type="tlsrpt";\r\n\tboundary="{boundary}"\r\n\r\n'
        f"--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        f"This is a report of TLS connections from {submitter} to the mail hosts of {domain}.\r\n"
        f"\r\n--{boundary}\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n"
        f'Content-Disposition: attachment;\r\n\tfilename="{name}"\r\n\r\n{text}\r\n--{boundary}--\r\n'
    ).encode()


# Read ----------------------------------------------------------------------------------------------------------------


def parse_report(data: bytes) -> TlsReport:
    """A report as JSON. Raises SyntaxProblem."""
    try:
        value = orjson.loads(data)
        span = value["date-range"]
        policies = value.get("policies") or []
        if len(policies) > REPORT_POLICIES or sum(len(one.get("failure-details") or ()) for one in policies) > REPORT_DETAILS:
            raise SyntaxProblem("the report is too long")
        return TlsReport(
            organisation=_text(value.get("organization-name")),
            contact=_text(value.get("contact-info")),
            id=_text(value["report-id"]),
            start=_seconds(span["start-datetime"]),
            end=_seconds(span["end-datetime"]),
            policies=tuple(_policy(one) for one in policies),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as problem:
        raise SyntaxProblem(f"not a report of TLS: {type(problem).__name__} {problem}"[:TEXT_LIMIT]) from problem


def _policy(value: Any) -> PolicyReport:
    about, summary = value["policy"], value.get("summary") or {}
    return PolicyReport(
        kind=_text(about["policy-type"]),
        domain=_text(about["policy-domain"]).lower(),
        hosts=tuple(_texts(about.get("mx-host"))),
        successes=_count(summary.get("total-successful-session-count", 0)),
        failed=_count(summary.get("total-failure-session-count", 0)),
        failures=tuple(
            Failure(
                _text(one.get("result-type")), _count(one.get("failed-session-count", 0)),
                _text(one.get("receiving-mx-hostname")), _text(one.get("receiving-ip")), _text(one.get("sending-mta-ip")),
                _text(one.get("failure-reason-code") or one.get("additional-information")),
            )
            for one in value.get("failure-details") or ()
        ),
    )  # fmt: skip


def _text(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise TypeError("a text is needed")
    return "".join(character if character.isprintable() else "?" for character in (value or "")[:TEXT_LIMIT])


def _texts(value: Any) -> list[str]:
    """A list, or one of them by itself, as some write it."""
    return [_text(one) for one in ([value] if isinstance(value, str) else value or [])[:REPORT_POLICIES]]


def _count(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise ValueError("a count is needed")
    return value


def _seconds(value: Any) -> float:
    moment = datetime.datetime.fromisoformat(_text(value))
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()
