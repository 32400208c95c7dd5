"""SPF of random records as pyspf judges it too."""

import random

import pytest
import spf

from mailstack.net.spf import check_host
from tests.policy.test_authentication import Table, Zone

TERMS = (
    "all", "ip4:192.0.2.1", "ip4:192.0.2.0/24", "ip4:198.51.100.0/24", "ip6:2001:db8::/32", "a", "a:two.test", "a/24",
    "a:three.test/24", "mx", "mx:two.test", "include:two.test", "include:three.test", "include:none.test",
    "exists:%{i}.list.test", "exists:%{d2}.list.test", "exists:%{l}.%{o}.list.test", "ptr:far.test", "redirect=two.test",
    "exp=why.test", "nonsense", "a:", "ip4:1.2.3", "ip4:192.0.2.1/40",
)  # fmt: skip


def record(chance: random.Random, name: str) -> str:
    # A record that includes itself is bad for pyspf even where it doesn't come to that.
    terms = [term for term in TERMS if term != f"include:{name}"]
    return " ".join(["v=spf1", *(chance.choice("+-~?  ").strip() + chance.choice(terms) for _ in range(chance.randrange(5)))])


def zone(chance: random.Random) -> Zone:
    found: Zone = {
        name: {"TXT": [record(chance, name)], "A": ["192.0.2.1"], "MX": ["mx.test"]} for name in ("far.test", "two.test")
    }
    found |= {
        "three.test": {"TXT": [record(chance, "three.test")], "A": ["198.51.100.7"]},
        "mx.test": {"A": [chance.choice(["192.0.2.1", "198.51.100.7"])]},
        "192.0.2.1.list.test": {"A": ["127.0.0.2"]},
        "far.test.list.test": {"A": ["127.0.0.2"]},
        "carol.far.test.list.test": {"A": ["127.0.0.2"]},
        "why.test": {"TXT": ["because"]},
        "1.2.0.192.in-addr.arpa": {"PTR": ["far.test"]},
    }
    return found


async def test_pyspf_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7208)
    words = set()
    for _ in range(100):
        table = zone(chance)

        def ask(name: str, kind: str, *_: object, table: Zone = table, **__: object) -> list[tuple[tuple[str, str], object]]:
            values = table.get(name.lower().rstrip("."), {}).get(kind, [])
            shown = [[one.encode()] if kind == "TXT" else (10, one) if kind == "MX" else one for one in values]
            return [((name, kind), one) for one in shown]

        monkeypatch.setattr(spf, "DNSLookup", ask)
        theirs = spf.query(i="192.0.2.1", s="carol@far.test", h="mx.test", strict=1).check()[0]
        ours = await check_host(Table(table), "192.0.2.1", "carol@far.test", "mx.test", "mail.a.test", seconds=60)
        assert str(ours.result) == theirs, table["far.test"]["TXT"] + table["two.test"]["TXT"] + table["three.test"]["TXT"]
        words.add(theirs)
    assert {"pass", "fail", "neutral", "softfail", "permerror"} <= words
