"""Answers are kept as long as they are good, from a real DNS server."""

import time

import pytest

from mailstack.net.answers import LIMIT, NOTHING_SECONDS, Answers
from mailstack.net.dns import DnsTemporary, Found, NoSuchDomain, Resolver
from tests.support.dnsserver import DnsServer


def test_answers_end() -> None:
    now = 100.0
    kept = Answers(lambda: now)
    kept.put("a.test", "TXT", ("x",), 5)
    kept.put("none.test", "TXT", (), 10_000)
    kept.put("long.test", "TXT", ("x",), 10_000_000)
    assert kept.get("a.test", "TXT") == ("x",)
    assert kept.get("a.test", "A") is None
    now = 106.0
    assert kept.get("a.test", "TXT") is None
    assert kept.get("none.test", "TXT") == ()
    now = 131.0
    assert kept.get("none.test", "TXT") is None
    now = 100.0 + 3601
    assert kept.get("long.test", "TXT") is None


def test_only_so_many_are_kept() -> None:
    kept = Answers(lambda: 0.0)
    kept.put("first.test", "A", ("1",), 60)
    kept.put("second.test", "A", ("2",), 60)
    for number in range(LIMIT - 1):
        assert kept.get("first.test", "A") == ("1",)
        kept.put(f"{number}.test", "A", ("3",), 60)
    assert kept.get("first.test", "A") == ("1",)
    assert kept.get("second.test", "A") is None


async def test_plain_values_of_each_kind() -> None:
    records = {
        "a.test": {
            "TXT": ['"v=spf1 " "-all"', '"other"'], "A": ["192.0.2.1"], "AAAA": ["2001:db8::1"],
            "MX": ["20 b.test.", "10 c.test."],
        },
        "1.2.0.192.in-addr.arpa": {"PTR": ["a.test."]},
        "c.test": {"CNAME": ["a.test."]},
    }  # fmt: skip
    with DnsServer(records) as server:
        server.broken.add("broken.test")
        resolver = Resolver([f"127.0.0.1:{server.port}"])
        for _ in range(2):
            assert sorted(await resolver.plain("A.test", "TXT")) == ["other", "v=spf1 -all"]
            assert await resolver.plain("c.test", "A") == ["192.0.2.1"]
            assert await resolver.plain("a.test", "AAAA") == ["2001:db8::1"]
            assert await resolver.plain("a.test", "MX") == ["c.test", "b.test"]
            assert await resolver.ptr("192.0.2.1") == ["a.test"]
            for name, kind in (("none.test", "A"), ("c.test", "PTR"), ("x" * 64 + ".test", "TXT"), ("a..test", "TXT")):
                with pytest.raises(NoSuchDomain):
                    await resolver.plain(name, kind)
            with pytest.raises(DnsTemporary):
                await resolver.plain("broken.test", "TXT")
        server.add("none.test", A=["192.0.2.9"])
        resolver.use([f"127.0.0.1:{server.port}"])
        assert await resolver.plain("none.test", "A") == ["192.0.2.9"]


async def test_what_is_published_is_seen_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long others may believe that there is nothing."""
    with DnsServer({}) as server:
        resolver = Resolver([f"127.0.0.1:{server.port}"])
        assert await resolver.found("new.a.test", "A") == Found()
        server.add("new.a.test", A=["192.0.2.1"])
        assert await resolver.found("new.a.test", "A") == Found()
        later = time.time() + NOTHING_SECONDS + 1
        monkeypatch.setattr(time, "time", lambda: later)
        assert (await resolver.found("new.a.test", "A")).values == ("192.0.2.1",)


async def test_of_a_strangers_large_answers_nothing_is_kept() -> None:
    """Ten thousand names with 60 KB each would be all the memory that there is."""
    records = {
        "large.test": {"TXT": [" ".join(f'"{"x" * 250}"' for _ in range(60))]},
        "many.test": {"A": [f"192.0.{one >> 8}.{one & 255}" for one in range(1000)]},
        "small.test": {"TXT": ['"y"']},
    }
    with DnsServer(records) as server:
        resolver = Resolver([f"127.0.0.1:{server.port}"])
        assert [len(text) for text in await resolver.plain("large.test", "TXT")] == [15_000]
        assert len(await resolver.addresses("many.test", ipv6=False)) == 1000
        assert await resolver.plain("small.test", "TXT") == ["y"]
        assert resolver.kept("large.test", "TXT") is None
        assert resolver.kept("small.test", "TXT") == ("y",)
        assert len(resolver._resolver.cache.data) == 1  # type: ignore[union-attr]
