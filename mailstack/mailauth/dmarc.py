"""DMARC: whether a message is in the name of the domain in From, and what that domain's owner asks for if not (RFC 9989).

The organisation of a domain is found by the DNS tree walk of RFC 9989 4.10, which took the place of the list of public
suffixes (RFC 7489 3.2). The list is a fence: a record at a public suffix that doesn't say so (psd=y) makes no organisation of
all domains below it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailstack.mailauth.dmarc_record import Psd, Record, parse_record
from mailstack.mailauth.questions import Answer, Evaluation, Question
from mailstack.mailauth.results import Dkim, Dmarc, Request, Result, Spf
from mailstack.message.errors import SyntaxProblem

MAX_LABELS = 8  # RFC 9989 4.10: no more questions for one domain
MAX_WALKS = 4  # identities whose organisation is asked for; more are not in the name of anybody honest


@dataclass(frozen=True, slots=True)
class Found:
    """What a tree walk from `domain` found: records by the domain at which they stand, from the longest to the shortest."""

    domain: str
    records: tuple[tuple[str, Record], ...]
    trouble: bool = False  # no answer for the domain itself, or for one above it while no record was found
    broken: str = ""  # why the record of the domain itself can't be used

    def organisation(self, is_public_suffix: Callable[[str], bool]) -> str:
        """RFC 9989 4.10.2."""
        for name, record in self.records:
            if record.psd is Psd.NO:
                return name
            if record.psd is Psd.YES and name != self.domain:
                return _below(self.domain, name)
        if not self.records:
            return self.domain
        name = self.records[-1][0]
        if name != self.domain and is_public_suffix(name):
            return _below(self.domain, name)
        return name

    def at(self, name: str) -> Record | None:
        return next((record for place, record in self.records if place == name), None)


def _below(domain: str, parent: str) -> str:
    """The name of a domain's line that is one label longer than its parent."""
    labels = domain.removesuffix(f".{parent}").rpartition(".")
    return f"{labels[2]}.{parent}"


def walk(domain: str) -> Evaluation[Found]:
    """All questions of a tree walk at once; those behind a psd= that ends it are not looked at (RFC 9989 4.10)."""
    names = _names(domain)
    answers = yield tuple(Question(f"_dmarc.{name}") for name in names)
    records: list[tuple[str, Record]] = []
    missed, broken = [], ""
    for name, answer in zip(names, answers, strict=True):
        if answer.trouble:
            missed.append(name)
        try:
            record = _one_record(answer)
        except SyntaxProblem as problem:
            broken = broken or f"{name}: {problem}"
            continue
        if record is not None:
            records.append((name, record))
            if record.psd is Psd.NO or (record.psd is Psd.YES and name != domain):
                break
    return Found(domain, tuple(records), domain in missed or (bool(missed) and not records), broken)


def _names(domain: str) -> list[str]:
    labels = domain.split(".")
    names = [domain]
    # A long name goes on with its last seven labels.
    start = max(1, len(labels) - MAX_LABELS + 1)
    return names + [".".join(labels[place:]) for place in range(start, len(labels))]


def _one_record(answer: Answer) -> Record | None:
    """Several records are none (RFC 9989 4.10). Raises SyntaxProblem for one that can't be used."""
    found = [text for text in answer.values if text.lstrip().lower().startswith("v") and "DMARC1" in text[:20]]
    records = [one for one in map(parse_record, found) if one is not None]
    return records[0] if len(records) == 1 else None


def evaluate(found: Found, spf: Spf, dkim: Iterable[Dkim], is_public_suffix: Callable[[str], bool]) -> Evaluation[Dmarc]:
    """Of one domain in From, given the walk from it (RFC 9989 5.3)."""
    domain = found.domain
    policy = applicable(found, is_public_suffix)
    if found.trouble:
        return Dmarc(Result.TEMPERROR, domain, reason="no answer for the DMARC record")
    if policy is None:
        if found.broken:
            return Dmarc(Result.PERMERROR, domain, reason=found.broken)
        return Dmarc(domain=domain)
    place, record, organisation = policy
    request = record.policy
    if place != domain:
        exists = True
        if record.nonexistent is not None:
            answers = yield tuple(Question(domain, kind) for kind in ("A", "AAAA", "MX"))
            exists = any(answer.values or answer.trouble for answer in answers)
        request = record.for_subdomain(exists)
    alignment = _Alignment(domain, organisation, is_public_suffix)
    by_spf = yield from alignment.best(((spf.domain, spf.result),), record.strict_spf)
    by_dkim = yield from alignment.best(((one.domain, one.result) for one in dkim), record.strict_dkim)
    result, reason = Result.FAIL, "neither SPF nor DKIM passed in the name of From"
    if Result.PASS in (by_spf, by_dkim):
        result, reason = Result.PASS, ""
    elif Result.TEMPERROR in (by_spf, by_dkim):
        # RFC 9989 5.3.2: what could not be asked might have passed.
        result, reason = Result.TEMPERROR, "no answer for SPF or DKIM in the name of From"
    passed = by_spf is Result.PASS, by_dkim is Result.PASS
    return Dmarc(result, domain, place, request, record.testing, *passed, reason)


def applicable(found: Found, is_public_suffix: Callable[[str], bool]) -> tuple[str, Record, str] | None:
    """Where the policy is, what it is, and the organisation: From's own, its organisation's, or its suffix's (4.10.1)."""
    organisation = found.organisation(is_public_suffix)
    parent = organisation.partition(".")[2]
    for place in (found.domain, organisation, parent):
        record = found.at(place)
        if record is not None:
            return place, record, organisation
    return None


def worst(results: Iterable[Dmarc]) -> Dmarc:
    """Of several domains in From the one that is to be feared most (RFC 7489 6.6.1): nobody hides behind a second author."""
    return max(results, key=_badness, default=Dmarc(reason="no address in From"))


def _badness(one: Dmarc) -> int:
    if one.result is Result.FAIL:
        return 4 + list(Request).index(one.request)
    return {Result.TEMPERROR: 3, Result.PERMERROR: 2, Result.NONE: 1}.get(one.result, 0)


class _Alignment:
    """Which domains are in the name of From's (RFC 9989 4.4)."""

    def __init__(self, domain: str, organisation: str, is_public_suffix: Callable[[str], bool]) -> None:
        self._domain = domain
        self._organisation = organisation
        self._is_public_suffix = is_public_suffix
        self._known: dict[str, Result] = {}
        self._walks = 0

    def best(self, identities: Iterable[tuple[str, Result]], strict: bool) -> Evaluation[Result]:
        """PASS if one that passed is aligned, TEMPERROR if one might have been, else FAIL."""
        best = Result.FAIL
        for name, result in identities:
            if result not in (Result.PASS, Result.TEMPERROR):
                continue
            holds = yield from self._holds(name, strict)
            if holds is Result.PASS and result is Result.PASS:
                return Result.PASS
            if holds is not Result.FAIL:
                best = Result.TEMPERROR
        return best

    def _holds(self, other: str, strict: bool) -> Evaluation[Result]:
        if other == self._domain:
            return Result.PASS
        # Domains of one organisation end in its name: others need no question.
        if strict or (other != self._organisation and not other.endswith(f".{self._organisation}")):
            return Result.FAIL
        if other not in self._known:
            if self._walks == MAX_WALKS:
                return Result.FAIL
            self._walks += 1
            found = yield from walk(other)
            same = found.organisation(self._is_public_suffix) == self._organisation
            self._known[other] = Result.PASS if same else Result.TEMPERROR if found.trouble else Result.FAIL
        return self._known[other]
