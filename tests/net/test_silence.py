"""Name servers that say nothing: the first message waits for them, the next ones hardly, and an answer makes all good again."""

import asyncio
import socket

import pytest

from mailstack.net import silence
from mailstack.net.dns import DnsTemporary, Resolver
from mailstack.net.silence import DOUBT_SECONDS, SIGN_SECONDS, SILENT_SECONDS, TROUBLE_SECONDS, Silence
from tests.support.dnsserver import DnsServer


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_signs_shorten_patience_and_an_answer_restores_it() -> None:
    clock = Clock()
    one = Silence(clock)
    begun = clock.now
    clock.now += 1.0
    one.unanswered(begun)  # who asked went away soon: no sign
    assert one.patience is None
    clock.now = begun + SIGN_SECONDS
    one.unanswered(begun)
    assert one.patience == DOUBT_SECONDS
    for _ in range(2):
        one.unanswered(clock.now)
    assert one.patience == SILENT_SECONDS
    one.answered(clock.now)  # from memory: nobody was asked
    assert one.patience == SILENT_SECONDS
    one.answered(clock.now - 0.01)
    assert one.patience is None


def test_what_got_no_answer_is_not_asked_again_at_once() -> None:
    clock = Clock()
    one = Silence(clock)
    one.trouble("a.test", "TXT")
    assert one.troubled("a.test", "TXT")
    assert not one.troubled("a.test", "MX")
    clock.now += TROUBLE_SECONDS
    assert not one.troubled("a.test", "TXT")


def test_memory_of_trouble_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "LIMIT", 3)
    one = Silence()
    for number in range(5):
        one.trouble(str(number), "TXT")
    assert [one.troubled(str(number), "TXT") for number in range(5)] == [False, False, True, True, True]


async def test_a_silent_server_is_waited_for_less_and_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "SIGN_SECONDS", 0.05)
    monkeypatch.setattr(silence, "DOUBT_SECONDS", 0.04)
    monkeypatch.setattr(silence, "SILENT_SECONDS", 0.02)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        resolver = Resolver([f"127.0.0.1:{nobody.getsockname()[1]}"], lifetime=0.2)
        waits = []
        for name in "abcde":
            since = asyncio.get_running_loop().time()
            with pytest.raises(DnsTemporary):
                await resolver.plain(f"{name}.test", "TXT")
            waits.append(resolver.silence.patience)
            assert asyncio.get_running_loop().time() >= since
        assert waits == [0.04, 0.04, 0.02, 0.02, 0.02]
        with pytest.raises(DnsTemporary, match="no answer a moment ago"):
            await resolver.plain("A.test", "TXT")
    with DnsServer({"f.test": {"TXT": ['"v=spf1 -all"']}}) as answering:
        silent = resolver.silence
        monkeypatch.setattr(silence, "SILENT_SECONDS", 20.0)
        resolver.use([f"127.0.0.1:{answering.port}"])
        resolver.silence = silent
        assert await resolver.plain("f.test", "TXT") == ["v=spf1 -all"]
        assert silent.patience is None
