"""Which names certificates are asked for: those that lead here, and nobody else's trouble."""

import ssl
from collections.abc import Iterator

import pytest

from mailstack.certificates.names import Names, Wanted
from mailstack.certificates.settings import AcmeSettings, Control
from mailstack.net.dns import Resolver
from tests.support.dnsserver import DnsServer

HERE, ELSEWHERE = {"A": ["192.0.2.1"]}, {"A": ["192.0.2.9"]}


@pytest.fixture(scope="module")
def dns() -> Iterator[DnsServer]:
    records = {
        "mail.a.test": HERE,
        "b.test": HERE,
        "mta-sts.a.test": {"CNAME": ["mail.a.test."]},
        "autoconfig.a.test": ELSEWHERE,
        "mta-sts.b.test": {**HERE, "AAAA": ["2001:db8::9"]},  # an authority may take the other one
        "autodiscover.b.test": HERE,
    }
    with DnsServer(records) as one:
        one.broken.add("autodiscover.a.test")
        yield one


async def ask(dns: DnsServer, hostname: str, **given: object) -> list[Wanted]:
    settings = AcmeSettings(
        directory="", contact=(), names=(), controls=(Control.HTTP,), context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        binding=None, updater=None, hook=(), reuse_key=True, addresses=(),
    )  # fmt: skip
    values = {name: getattr(settings, name) for name in AcmeSettings.__slots__} | given

    async def domains() -> frozenset[str]:
        return frozenset({"a.test", "b.test"})

    resolver = Resolver([f"127.0.0.1:{dns.port}"])
    return await Names(resolver, domains, hostname).wanted(AcmeSettings(**values))


async def test_what_leads_here(dns: DnsServer) -> None:
    host, first, second = await ask(dns, "mail.a.test")
    assert host == Wanted("mail.a.test", ("mail.a.test",))
    assert (first.name, first.names) == ("a.test", ("mta-sts.a.test",))
    assert first.elsewhere["autoconfig.a.test"] == "leads to 192.0.2.9, not here"
    assert "no answer" in first.elsewhere["autodiscover.a.test"]
    assert second.names == ("autodiscover.b.test",)
    assert second.elsewhere == {
        "mta-sts.b.test": "leads to 2001:db8::9, not here", "autoconfig.b.test": "is not in the DNS"
    }  # fmt: skip


async def test_behind_nat_the_admin_says_where_here_is(dns: DnsServer) -> None:
    host, first, second = await ask(dns, "mail.a.test", addresses=("192.0.2.9",))
    assert (host.names, first.names, second.names) == (("mail.a.test",), ("autoconfig.a.test",), ())


async def test_a_host_that_has_a_domains_name(dns: DnsServer) -> None:
    wanted = await ask(dns, "b.test")
    assert [one.name for one in wanted] == ["b.test", "a.test"]
    assert wanted[0].names == ("b.test", "autodiscover.b.test")


async def test_names_of_the_admins(dns: DnsServer) -> None:
    assert await ask(dns, "mail.a.test", names=("www.x.test", "mail.a.test")) == [
        Wanted("mail.a.test", ("mail.a.test", "www.x.test"))
    ]


async def test_a_host_that_is_not_in_the_dns(dns: DnsServer) -> None:
    assert await ask(dns, "mail.c.test") == [Wanted("mail.c.test", (), {"mail.c.test": "has no address in the DNS"})]
    # By a record in the DNS it can be shown all the same.
    assert (await ask(dns, "mail.c.test", controls=(Control.DNS,)))[0].names == ("mail.c.test",)
