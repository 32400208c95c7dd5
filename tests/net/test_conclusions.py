"""What follows from answers is kept beside them: as long as all of them are good, and only where it holds for everybody."""

from collections.abc import Iterator

import pytest

from mailstack.mailauth.results import Result
from mailstack.net.answers import Answers
from mailstack.net.dns import Resolver
from mailstack.net.iprev import iprev, kept_iprev
from mailstack.net.spf import check_host, kept_spf
from tests.support.dnsserver import DnsServer

RECORDS = {
    "far.test": {"TXT": ['"v=spf1 a:mx.far.test -all"']},
    "mx.far.test": {"A": ["192.0.2.1"]},
    "macro.test": {"TXT": ['"v=spf1 exists:%{l}.macro.test -all"']},
    "carol.macro.test": {"A": ["127.0.0.2"]},
    "includes.test": {"TXT": ['"v=spf1 include:macro.test -all"']},
    "waits.test": {"TXT": ['"v=spf1 a:broken.test -all"']},
    "1.2.0.192.in-addr.arpa": {"PTR": ["mx.far.test."]},
    "2.2.0.192.in-addr.arpa": {"PTR": ["mx.far.test."]},
    "3.2.0.192.in-addr.arpa": {"PTR": ["broken.test."]},
}


@pytest.fixture(scope="module")
def server() -> Iterator[DnsServer]:
    with DnsServer(RECORDS) as server:
        server.broken.add("broken.test")
        yield server


async def spf(resolver: Resolver, address: str, sender: str) -> Result:
    return (await check_host(resolver, address, sender, "mx.far.test", "mail.a.test", seconds=5)).result


async def test_spf_of_a_domain_is_kept_for_an_address(server: DnsServer) -> None:
    resolver = Resolver([f"127.0.0.1:{server.port}"])
    assert kept_spf(resolver, "192.0.2.1", "far.test") is None
    assert await spf(resolver, "192.0.2.1", "carol@far.test") is Result.PASS
    assert await spf(resolver, "192.0.2.9", "carol@far.test") is Result.FAIL
    first, second = kept_spf(resolver, "192.0.2.1", "far.test"), kept_spf(resolver, "192.0.2.9", "far.test")
    assert first is not None
    assert (first.result, first.domain) == (Result.PASS, "far.test")
    assert second is not None
    assert second.result is Result.FAIL
    assert kept_spf(resolver, "192.0.2.8", "far.test") is None
    resolver.use([f"127.0.0.1:{server.port}"])
    assert kept_spf(resolver, "192.0.2.1", "far.test") is None


async def test_what_another_sender_may_change_is_not_kept(server: DnsServer) -> None:
    resolver = Resolver([f"127.0.0.1:{server.port}"])
    for domain in ("macro.test", "includes.test"):
        assert await spf(resolver, "192.0.2.1", f"carol@{domain}") is Result.PASS
        assert kept_spf(resolver, "192.0.2.1", domain) is None
        assert await spf(resolver, "192.0.2.1", f"mallory@{domain}") is Result.FAIL


async def test_trouble_is_not_kept(server: DnsServer) -> None:
    resolver = Resolver([f"127.0.0.1:{server.port}"], timeout=1.0, lifetime=1.0)
    assert await spf(resolver, "192.0.2.1", "carol@waits.test") is Result.TEMPERROR
    assert kept_spf(resolver, "192.0.2.1", "waits.test") is None
    assert (await iprev(resolver, "192.0.2.3")).result is Result.TEMPERROR
    assert kept_iprev(resolver, "192.0.2.3") is None


async def test_the_name_of_an_address_is_kept(server: DnsServer) -> None:
    resolver = Resolver([f"127.0.0.1:{server.port}"])
    for address, result in (("192.0.2.1", Result.PASS), ("192.0.2.2", Result.FAIL), ("192.0.2.7", Result.PERMERROR)):
        assert kept_iprev(resolver, address) is None
        found = await iprev(resolver, address)
        assert found.result is result
        assert kept_iprev(resolver, address) == found


def test_a_conclusion_ends_with_the_first_of_its_answers() -> None:
    now = 100.0
    resolver = Resolver(["127.0.0.1"])
    resolver.answers = Answers(lambda: now)
    resolver.answers.put("long.test", "TXT", ("x",), 600)
    resolver.answers.put("short.test", "A", ("x",), 5)
    resolver.conclude("1", "spf", ("pass", ""), [("long.test", "TXT"), ("Short.test", "A")])
    resolver.conclude("2", "spf", ("pass", ""), [("long.test", "TXT"), ("unknown.test", "A")])
    resolver.conclude("3", "spf", ("pass", ""), [])
    assert [resolver.kept(one, "spf") for one in "123"] == [("pass", ""), None, None]
    now = 106.0
    assert resolver.kept("1", "spf") is None
    assert resolver.kept("long.test", "TXT") == ("x",)
