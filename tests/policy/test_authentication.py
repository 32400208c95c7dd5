"""Everything that is asked about a message: answered, late, broken or lied to; and SPF as RFC 7208 has it."""

import asyncio
from dataclasses import dataclass, field

import pytest

from mailstack.mailauth.results import Authentication, Result
from mailstack.message.address import Address, parse_address
from mailstack.net.answers import Answers
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.iprev import iprev
from mailstack.net.spf import check_host
from mailstack.policy.authentication import Authenticator
from mailstack.policy.suffixes import Suffixes
from mailstack.policy.transaction import Transaction
from mailstack.store.content import Content
from tests.support.judging import NOW

Zone = dict[str, dict[str, list[str]]]


@dataclass
class Table(Resolver):
    """A resolver with a table: "!" is no answer, "?" none for a long time."""

    zone: Zone
    asked: list[tuple[str, str]] = field(default_factory=list)
    answers: Answers = field(default_factory=Answers)  # nothing is kept

    async def plain(self, name: str, kind: str) -> list[str]:
        self.asked.append((name, kind))
        values = self.zone.get(name.lower().rstrip("."), {}).get(kind, [])
        if values == ["?"]:
            await asyncio.sleep(3600)
        if values == ["!"]:
            raise DnsTemporary(name)
        if not values:
            raise NoSuchDomain(name)
        return values

    async def ptr(self, address: str) -> list[str]:
        return await self.plain(address, "PTR")


def transaction(
    sender: str | None = "carol@far.test", peer: str = "192.0.2.1", helo: str = "mx.far.test", *, peer_known: bool = True
) -> Transaction:
    address: Address | None = parse_address(sender) if sender is not None else None
    return Transaction("1", peer, helo, "ESMTP", None, None, float(NOW), address, peer_known=peer_known)


async def judge(zone: Zone, message: bytes, one: Transaction | None = None, seconds: float = 5.0) -> Authentication:
    return await Authenticator(Table(zone), Suffixes(), "mail.a.test", lambda: NOW, seconds).judge(
        one or transaction(), Content.of(message)
    )


FAR: Zone = {
    "far.test": {"TXT": ["v=spf1 ip4:192.0.2.0/24 -all"]},
    "_dmarc.far.test": {"TXT": ["v=DMARC1; p=reject"]},
    "192.0.2.1": {"PTR": ["mx.far.test"]},
    "mx.far.test": {"A": ["192.0.2.1"], "TXT": ["v=spf1 a -all"]},
}
MAIL = b"From: carol@far.test\r\n\r\nx\r\n"


async def test_all_of_it() -> None:
    found = await judge(FAR, MAIL)
    assert (found.iprev.result, found.iprev.name) == ("pass", "mx.far.test")
    assert (found.spf.result, found.helo.result, found.dmarc.result) == ("pass", "pass", "pass")
    assert (found.dkim, found.arc.result) == ((), "none")
    elsewhere = await judge(FAR, MAIL, transaction(peer="198.51.100.1"))
    assert (elsewhere.iprev.result, elsewhere.spf.result, elsewhere.dmarc.result) == ("permerror", "fail", "fail")


async def test_the_null_sender_is_who_says_helo() -> None:
    found = await judge(FAR, MAIL, transaction(sender=None))
    assert (found.spf.result, found.spf.domain) == ("pass", "mx.far.test")
    assert found.dmarc.spf_aligned
    literal = await judge(FAR, MAIL, transaction(sender=None, helo="[192.0.2.1]"))
    assert (literal.spf.result, literal.dmarc.result) == ("none", "fail")


async def test_behind_a_gateway_addresses_say_nothing() -> None:
    found = await judge(FAR, MAIL, transaction(peer_known=False))
    assert (found.iprev.result, found.spf.result, found.helo.result) == ("none", "none", "none")


@pytest.mark.parametrize("answer", ["!", "?"])
async def test_no_answers_end_in_temperror_soon(answer: str) -> None:
    zone = {name: {kind: [answer] for kind in ("TXT", "PTR")} for name in (*FAR, "s._domainkey.far.test")}
    signature = b"DKIM-Signature: v=1; a=rsa-sha256; d=far.test; s=s; h=from; bh=AAAA; b=AAAA\r\n"
    found = await judge(zone, signature * 100 + MAIL, seconds=0.2)
    assert {found.iprev.result, found.spf.result, found.helo.result, found.dmarc.result} == {Result.TEMPERROR}
    assert {one.result for one in found.dkim} == {Result.TEMPERROR}


@pytest.mark.parametrize(
    ("header", "domain", "result"),
    [
        (b"", "", "none"),
        (b"From: nobody\r\n", "", "none"),
        (b"From: <@>\r\n", "", "none"),
        (b"From: c@[192.0.2.1]\r\n", "", "none"),
        (b"From: C <C@FAR.test.>\r\n", "far.test", "fail"),
        (b"From: =?utf-8?q?c?= <x@far.test>\r\n", "far.test", "fail"),
        (b"From: a@other.test, b@far.test\r\n", "far.test", "fail"),
        (b"From: a@other.test\r\nFrom: b@far.test\r\n", "far.test", "fail"),
        (b"From: a@other.test\r\n", "other.test", "none"),
        ("From: c@b\u00fccher.test\r\n".encode(), "xn--bcher-kva.test", "none"),
        (b"From: " + b", ".join(b"x@d%d.test" % number for number in range(1000)) + b"\r\n", "d0.test", "none"),
    ],
    ids=range(11),
)
async def test_authors(header: bytes, domain: str, result: str) -> None:
    found = await judge(FAR, header + b"Subject: x\r\n\r\n", transaction("x@nobody.test", "198.51.100.1"))
    assert (found.dmarc.domain, found.dmarc.result) == (domain, result)


async def test_a_long_body_is_hashed_elsewhere() -> None:
    content = Content.of(MAIL + b"x" * 70 + b"\r\n" * 40_000)
    found = await Authenticator(Table(FAR), Suffixes(), "mail.a.test", lambda: NOW).judge(transaction(), content)
    assert found.dmarc.result == "pass"


@pytest.mark.parametrize(
    ("records", "result"),
    [
        ({"TXT": ["v=spf1 +all"]}, "pass"),
        ({"TXT": ["v=spf1 ?all"]}, "neutral"),
        ({"TXT": ["v=spf1 ~all"]}, "softfail"),
        ({"TXT": ["v=spf1 -all"]}, "fail"),
        ({"TXT": ["v=spf1"]}, "neutral"),
        ({"TXT": ["v=spf10 -all"]}, "none"),
        ({"TXT": ["other"]}, "none"),
        ({}, "none"),
        ({"TXT": ["v=spf1 -all", "v=spf1 +all"]}, "permerror"),
        ({"TXT": ["v=spf1 nonsense:x -all"]}, "permerror"),
        ({"TXT": ["v=spf1 ip4:192.0.2.1 -all"]}, "pass"),
        ({"TXT": ["v=spf1 ip4:192.0.2.1/33 -all"]}, "permerror"),
        ({"TXT": ["v=spf1 ip6:2001:db8::/32 -all"]}, "fail"),
        ({"TXT": ["v=spf1 a -all"], "A": ["192.0.2.1"]}, "pass"),
        ({"TXT": ["v=spf1 mx -all"], "MX": ["mx.far.test"]}, "pass"),
        ({"TXT": ["v=spf1 mx -all"], "MX": [f"mx{number}.far.test" for number in range(11)]}, "permerror"),
        ({"TXT": ["v=spf1 include:mx.far.test -all"]}, "pass"),
        ({"TXT": ["v=spf1 include:none.test -all"]}, "permerror"),
        ({"TXT": ["v=spf1 redirect=mx.far.test"]}, "pass"),
        ({"TXT": ["v=spf1 exists:%{ir}.%{v}.list.test -all"]}, "pass"),
        ({"TXT": ["v=spf1 include:x.test -all"]}, "permerror"),  # x.test includes itself
        ({"TXT": ["v=spf1 redirect=x.test"]}, "permerror"),
        ({"TXT": ["v=spf1 " + "a:mx.other.test " * 11 + "-all"]}, "permerror"),  # eleven that ask
        ({"TXT": ["v=spf1 a:n1.test a:n2.test a:n3.test +all"]}, "permerror"),  # three answers of nothing
        ({"TXT": ["v=spf1 a:broken.test +all"]}, "temperror"),
        ({"TXT": ["!"]}, "temperror"),
    ],
    ids=str,
)
async def test_spf(records: dict[str, list[str]], result: str) -> None:
    zone = FAR | {
        "d.test": records,
        "x.test": {"TXT": ["v=spf1 include:x.test -all"]},
        "mx.other.test": {"A": ["198.51.100.9"]},
        "broken.test": {"A": ["!"]},
        "1.2.0.192.in-addr.list.test": {"A": ["127.0.0.2"]},
    }
    table = Table(zone)
    found = await check_host(table, "192.0.2.1", "carol@d.test", "mx.far.test", "mail.a.test", seconds=5)
    assert found.result == result
    assert len(table.asked) <= 24


async def test_an_address_whose_name_leads_elsewhere() -> None:
    zone = FAR | {"192.0.2.7": {"PTR": ["mx.far.test"]}, "192.0.2.8": {"PTR": ["n.test", "!", "mx.far.test"]}}
    assert (await iprev(Table(zone), "192.0.2.7")).result == "fail"
    assert (await iprev(Table(zone), "192.0.2.8")).result == "fail"
    assert (await iprev(Table(zone | {"mx.far.test": {"A": ["!"]}}), "192.0.2.1")).result == "temperror"
    assert (await iprev(Table(zone), "2001:db8::1")).result == "permerror"
