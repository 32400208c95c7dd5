"""SPF by the words of RFC 7208: a table of records and what follows from them, judged by us and by pyspf."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import spf

from mailstack.net.spf import check_host
from tests.policy.test_authentication import Table, Zone

FILE = Path(__file__).parent / "spf_cases.txt"
HOST = "mail.a.test"
# pyspf takes them otherwise: what can't be asked for is no match of ptr (RFC 7208 5.5), what is no macro is an error (7.1).
OTHERWISE = {
    "5.5": {"192.0.2.4 carol@own.test", "192.0.2.5 carol@own.test"},
    "7.1": {f"192.0.2.1 carol@e{number}.test" for number in (4, 5, 6, 7, 8, 15)},
}


@dataclass(frozen=True)
class Case:
    area: str
    zone: Zone
    address: str
    sender: str
    helo: str
    result: str
    explanation: str


@dataclass
class Area:
    name: str
    zone: Zone = field(default_factory=dict)
    cases: list[Case] = field(default_factory=list)
    begun: bool = False

    def take(self, line: str) -> None:
        if line == "--":
            self.begun = True
        elif self.begun:
            words, _, explanation = line.partition(" | ")
            address, sender, helo, result = words.split()
            sender = f"postmaster@{helo}" if sender == "<>" else sender
            self.cases.append(Case(self.name, self.zone, address, sender, helo, result, explanation))
        else:
            found = re.fullmatch(r"(\S+) +(TXT|A|AAAA|MX|PTR) +(.*)", line)
            assert found is not None, line
            # What a record begins with may be a blank; a column ends with the widest kind.
            value = found[3] if found[2] != "TXT" else line[found.start(2) + 4 :]
            self.zone.setdefault(found[1].lower(), {}).setdefault(found[2], []).append(value)


def areas() -> list[Area]:
    found: list[Area] = []
    for line in FILE.read_text().split("\n"):
        if line.startswith("== "):
            found.append(Area(line[3:]))
        elif line.strip() and not line.startswith("#"):
            found[-1].take(line)
    return found


AREAS = areas()


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.name)
async def test_what_follows_from_the_records(area: Area) -> None:
    for case in area.cases:
        found = await check_host(Table(case.zone), case.address, case.sender, case.helo, HOST, seconds=60)
        explanation = found.reason if case.result == "fail" else ""
        assert (str(found.result), explanation) == (case.result, case.explanation), case


@pytest.mark.parametrize("area", AREAS, ids=lambda area: area.name)
def test_pyspf_agrees(area: Area, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in area.cases:

        def ask(name: str, kind: str, *_: object, zone: Zone = case.zone, **__: object) -> list[tuple[tuple[str, str], object]]:
            values = zone.get(name.lower().rstrip("."), {}).get(kind, [])
            if values == ["!"]:
                raise spf.TempError("DNS: no answer")
            shown = [[one.encode()] if kind == "TXT" else (10, one) if kind == "MX" else one for one in values]
            return [((name, kind), one) for one in shown]

        monkeypatch.setattr(spf, "DNSLookup", ask)
        query = spf.query(i=case.address, s=case.sender, h=case.helo, receiver=HOST, strict=True)
        same = query.check()[0] == case.result
        assert same or f"{case.address} {case.sender}" in OTHERWISE.get(area.name[:3], ()), case
