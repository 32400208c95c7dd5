"""A domain's DMARC record (RFC 9989 4.7)."""

import re
from dataclasses import dataclass
from enum import StrEnum

from mailstack.mailauth.results import Request
from mailstack.message.errors import SyntaxProblem

RECORD_LIMIT = 16384  # octets
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[^,;\s]+", re.IGNORECASE)
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")


class Psd(StrEnum):
    """Whether a record is that of a public suffix."""

    YES = "y"
    NO = "n"
    UNSAID = "u"


@dataclass(frozen=True, slots=True)
class Record:
    policy: Request = Request.NONE  # p=
    subdomains: Request | None = None  # sp=
    nonexistent: Request | None = None  # np=
    strict_dkim: bool = False  # adkim=s
    strict_spf: bool = False  # aspf=s
    psd: Psd = Psd.UNSAID
    testing: bool = False  # t=y, and pct=0, as owners wrote it before (RFC 9989 A.7)
    aggregate_reports: tuple[str, ...] = ()  # rua=
    failure_reports: tuple[str, ...] = ()  # ruf=

    def for_subdomain(self, exists: bool) -> Request:
        """What is asked for mail of a domain below (RFC 9989 4.7: np=, else sp=, else p=)."""
        if not exists and self.nonexistent is not None:
            return self.nonexistent
        return self.subdomains if self.subdomains is not None else self.policy


def parse_record(text: str) -> Record | None:
    """None for what is no DMARC record. Raises SyntaxProblem for one whose requests can't be read and who wants no reports."""
    text = text.strip()
    if _VERSION.match(text) is None or len(text) > RECORD_LIMIT:
        return None
    tags: dict[str, str] = {}
    for part in text.split(";")[1:100]:
        name, _, value = part.partition("=")
        tags.setdefault(name.strip().lower(), value.strip())
    reports = _uris(tags.get("rua", ""))
    requests, bad = _requests(tags)
    if bad:
        if not reports:
            raise SyntaxProblem(f"{bad}= in the DMARC record is none of none, quarantine, reject")
        # RFC 9989 4.10.1: as if only reports were wanted.
        requests = {}
    return Record(
        policy=requests.get("p", Request.NONE),
        subdomains=requests.get("sp"),
        nonexistent=requests.get("np"),
        strict_dkim=tags.get("adkim", "r").lower() == "s",
        strict_spf=tags.get("aspf", "r").lower() == "s",
        psd=_psd(tags.get("psd", "u").lower()),
        testing=tags.get("t", "n").lower() == "y" or tags.get("pct", "") == "0",
        aggregate_reports=reports,
        failure_reports=_uris(tags.get("ruf", "")),
    )


def _requests(tags: dict[str, str]) -> tuple[dict[str, Request], str]:
    """Those that can be read, and the name of one that can't."""
    found: dict[str, Request] = {}
    bad = ""
    for name in ("p", "sp", "np"):
        if name in tags:
            try:
                found[name] = Request(tags[name].lower())
            except ValueError:
                bad = bad or name
    return found, bad


def _psd(text: str) -> Psd:
    return Psd(text) if text in ("y", "n") else Psd.UNSAID


def _uris(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in text.split(",")[:20] if _URI.fullmatch(one.strip()))
