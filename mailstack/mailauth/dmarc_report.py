"""DMARC aggregate reports: what receivers saw under our domains' names (RFC 7489 7.2 and Appendix C, RFC 9990)."""

import xml.parsers.expat
from dataclasses import dataclass, field

from mailstack.message.errors import SyntaxProblem

RECORDS = 10_000
DEPTH = 20
ELEMENTS = 300_000
TEXT_LIMIT = 300


@dataclass(frozen=True, slots=True)
class ReportRow:
    """Messages from one address that came to the same."""

    source: str
    count: int
    disposition: str  # "none", "quarantine", "reject"
    dkim: str  # aligned: "pass" or "fail"
    spf: str
    header_from: str
    envelope_from: str = ""
    signers: tuple[str, ...] = ()  # "domain/selector result"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DmarcReport:
    """Of a time, in seconds since the epoch."""

    organisation: str
    contact: str
    id: str
    start: float
    end: float
    domain: str
    policy: str
    rows: tuple[ReportRow, ...]


@dataclass(slots=True)
class _Reader:
    """Elements as they come. Any declaration of a document type is refused, and with it every entity."""

    path: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    length: int = 0
    elements: int = 0
    head: dict[str, str] = field(default_factory=dict)
    record: dict[str, str] = field(default_factory=dict)
    signers: list[str] = field(default_factory=list)
    signer: dict[str, str] = field(default_factory=dict)
    rows: list[ReportRow] = field(default_factory=list)

    def start(self, name: str, _: object) -> None:
        self.elements += 1
        if len(self.path) >= DEPTH or self.elements > ELEMENTS:
            raise SyntaxProblem("the report is too deep or too long")
        self.path.append(name.rpartition(" ")[2])
        self.text.clear()
        self.length = 0

    def data(self, text: str) -> None:
        if self.length < TEXT_LIMIT:
            self.text.append(text)
            self.length += len(text)

    def end(self, _: str) -> None:
        text = "".join(c if c.isprintable() else "?" for c in "".join(self.text).strip()[:TEXT_LIMIT])
        self.text.clear()
        place = "/".join(self.path[1:])
        self.path.pop()
        if not place.startswith("record"):
            self.head.setdefault(place, text)
        elif place == "record":
            self._row()
        elif place == "record/auth_results/dkim":
            if len(self.signers) < 20:
                signer = f"{self.signer.get('domain', '')}/{self.signer.get('selector', '')} {self.signer.get('result', '')}"
                self.signers.append(signer)
            self.signer.clear()
        elif place.startswith("record/auth_results/dkim/"):
            self.signer.setdefault(place.rpartition("/")[2], text)
        else:
            self.record.setdefault(place.removeprefix("record/"), text)

    def _row(self) -> None:
        if len(self.rows) >= RECORDS:
            raise SyntaxProblem("the report has too many records")
        one, judged = self.record, "row/policy_evaluated/"
        reason = " ".join(filter(None, (one.get(judged + "reason/type"), one.get(judged + "reason/comment"))))
        self.rows.append(
            ReportRow(
                one.get("row/source_ip", ""), _count(one.get("row/count", "")), one.get(judged + "disposition", "none"),
                one.get(judged + "dkim", "fail"), one.get(judged + "spf", "fail"),
                one.get("identifiers/header_from", "").lower(), one.get("identifiers/envelope_from", "").lower(),
                tuple(self.signers), reason,
            )
        )  # fmt: skip
        self.record.clear()
        self.signers.clear()


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise SyntaxProblem(f"{text[:20]!r} is no count")
    return int(text)


def parse_report(data: bytes) -> DmarcReport:
    """A report as XML. Raises SyntaxProblem."""
    reader = _Reader()
    parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.data
    parser.StartDoctypeDeclHandler = _no_doctype
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except (xml.parsers.expat.ExpatError, ValueError, LookupError) as problem:
        raise SyntaxProblem(f"not a report of DMARC: {problem}") from problem
    head = reader.head
    if not reader.rows or "report_metadata/report_id" not in head:
        raise SyntaxProblem("not a report of DMARC: it has no records or no id")
    return DmarcReport(
        organisation=head.get("report_metadata/org_name", ""),
        contact=head.get("report_metadata/email", ""),
        id=head["report_metadata/report_id"],
        start=float(_count(head.get("report_metadata/date_range/begin", ""))),
        end=float(_count(head.get("report_metadata/date_range/end", ""))),
        domain=head.get("policy_published/domain", "").lower(),
        policy=head.get("policy_published/p", ""),
        rows=tuple(reader.rows),
    )


def _no_doctype(*_: object) -> None:
    raise SyntaxProblem("a report has no document type")
