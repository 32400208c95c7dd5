"""Changes of a zone, at a name server that wants a key, and asking those that hold a zone."""

import pytest

from mailstack.net.authority import Fresh
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.dns_update import Change, TsigKey, UpdateProblem, Updater, parse_key, quoted
from tests.support.dnsserver import DnsServer

SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
SOA = ["ns.a.test. hostmaster.a.test. 1 3600 600 86400 60"]


async def test_records_come_and_go() -> None:
    with DnsServer({"a.test": {"SOA": SOA, "TXT": ['"other"', '"v=spf1 -all"']}, "x.a.test": {"A": ["192.0.2.1"]}}) as dns:
        dns.keys["mail."] = SECRET
        updater = Updater(f"127.0.0.1:{dns.port}", TsigKey("mail", SECRET))
        long = "v=DKIM1; p=" + "A" * 400
        await updater.change(
            "a.test",
            [
                Change("a.test", "TXT", ("v=spf1 mx -all",), ("v=spf1 -all",)),
                Change("k._domainkey.a.test", "TXT", (long,)),
                Change("x.a.test", "A", remove=None),
                Change("a.test", "MX", ("10 mail.a.test.",)),
            ],
        )
        resolver = Resolver([f"127.0.0.1:{dns.port}"])
        assert sorted(await resolver.txt("a.test")) == ["other", "v=spf1 mx -all"]
        assert await resolver.txt("k._domainkey.a.test") == [long]
        assert await resolver.texts("a.test", "MX") == ["10 mail.a.test."]
        with pytest.raises(NoSuchDomain):
            await resolver.addresses("x.a.test")


async def test_what_is_refused_is_told_without_the_secret() -> None:
    with DnsServer({"a.test": {"SOA": SOA}}) as dns:
        dns.keys["mail."] = SECRET
        server, changes = f"127.0.0.1:{dns.port}", [Change("a.test", "A", ("192.0.2.1",))]
        for key, zone, words in (
            (None, "a.test", "REFUSED"),
            (TsigKey("mail", SECRET), "b.test", "NOTAUTH"),
            (TsigKey("other", SECRET), "a.test", "key"),
            (TsigKey("mail", "QUJDRA=="), "a.test", "key"),
        ):
            with pytest.raises(UpdateProblem) as problem:
                await Updater(server, key).change(zone, changes)
            assert words in str(problem.value)
            assert SECRET not in str(problem.value)
        with pytest.raises(UpdateProblem):
            await Updater(server, None).change("a.test", [Change("a.test", "A", ("not an address",))])
    with pytest.raises(UpdateProblem):
        await Updater(server, None).change("a.test", changes)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f'key "mail" {{\n  algorithm hmac-sha512;\n  secret "{SECRET}";\n}};\n', ("mail", "hmac-sha512")),
        (f'key mail {{ secret "{SECRET}"; algorithm "hmac-sha256"; }};', ("mail", "hmac-sha256")),
        (f"mail.example.org:{SECRET}\n", ("mail.example.org", "hmac-sha256")),
        (f"hmac-sha1:mail:{SECRET}", ("mail", "hmac-sha1")),
        ("", None),
        ("key x { secret nonsense!; };", None),
        (f'key x {{ algorithm hmac-md5; secret "{SECRET}"; }};', None),
    ],
)
def test_keys_as_they_are_written(text: str, wanted: tuple[str, str] | None) -> None:
    if wanted is None:
        with pytest.raises(UpdateProblem) as problem:
            parse_key(text)
        assert SECRET not in str(problem.value)
        return
    key = parse_key(text)
    assert (key.name, key.algorithm, key.secret) == (*wanted, SECRET)
    assert SECRET not in repr(key)


def test_texts_as_strings() -> None:
    assert quoted("short") == '"short"'
    assert quoted("a" * 256) == f'"{"a" * 255}" "a"'
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'
    assert quoted("ü") == '"\\195\\188"'
    assert quoted("") == '""'


async def test_those_that_hold_a_zone_are_asked() -> None:
    zone = {
        "a.test": {"SOA": SOA, "NS": ["ns.b.test.", "gone.b.test."], "A": ["192.0.2.1"]},
        "b.test": {"SOA": SOA, "NS": ["ns.b.test."]},
        "ns.b.test": {"A": ["127.0.0.1"]},
        "lame.test": {"SOA": SOA, "NS": ["gone.b.test."]},
    }
    held = {
        "a.test": {"SOA": SOA},
        "deep.in.a.test": {"A": ["192.0.2.2"]},
        "alias.a.test": {"CNAME": ["there.b.test."]},
        "there.b.test": {"TXT": ["followed"]},
        "loop.a.test": {"CNAME": ["loop.a.test."]},
    }
    with DnsServer(zone) as cache, DnsServer(held) as holder:
        fresh = Fresh(Resolver([f"127.0.0.1:{cache.port}"]), port=holder.port)
        assert await fresh.zone("deep.in.a.test.") == "a.test"
        assert await fresh.addresses("deep.in.a.test") == ["192.0.2.2"]
        assert await fresh.txt("alias.a.test") == ["followed"]
        assert await fresh.texts("alias.a.test", "CNAME") == ["there.b.test."]
        with pytest.raises(NoSuchDomain):
            await fresh.addresses("a.test")
        with pytest.raises(DnsTemporary):
            await fresh.txt("lame.test")
        with pytest.raises(NoSuchDomain):
            await fresh.zone("c.test")
        given = Fresh(Resolver([f"127.0.0.1:{cache.port}"]), [f"127.0.0.1:{holder.port}"], port=cache.port)
        assert await given.addresses("deep.in.a.test") == ["192.0.2.2"]
        assert await given.addresses("ns.b.test") == ["127.0.0.1"]
