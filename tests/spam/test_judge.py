"""What the judge decides: taken, put off or refused; by whom it is for, and whatever fails."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from mailstack.mailauth.dnslist import parse_list
from mailstack.mailauth.results import Authentication, Dmarc, Iprev, Result, Spf
from mailstack.message.address import parse_address
from mailstack.message.envelope import Recipient
from mailstack.message.tokens import key, tokens
from mailstack.net.dns import DnsTemporary, NoSuchDomain
from mailstack.policy.judgement import Finding
from mailstack.policy.routing import Local, Remote
from mailstack.policy.spam.greylisting import Greylisting
from mailstack.policy.spam.judge import Judge, Parts
from mailstack.policy.spam.lists import Lists
from mailstack.policy.spam.outside import Opinion
from mailstack.policy.spam.senders import Senders
from mailstack.policy.spam.settings import SpamSettings
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept, Defer, Reject, Verdict
from mailstack.store.content import Content
from mailstack.store.greylist import Greylist
from mailstack.store.learned.door import LearnedDoor
from mailstack.store.learned.file import LearnedFile
from mailstack.store.users.directory import AccountRecord
from tests.spam.generator import Generator

NOW = 1_790_000_000.0
MESSAGE = (
    b"From: Carol <carol@far.example>\r\nTo: alice@a.test\r\nSubject: hello\r\nDate: "
    + formatdate(NOW).encode()
    + b"\r\nMessage-ID: <1@far.example>\r\n\r\nHello\r\n"
)
KNOWN = Authentication(Iprev(Result.PASS, name="mail.far.example"), Spf(Result.PASS, "far.example"), dmarc=Dmarc(Result.PASS))
NOBODY = Authentication(Iprev(Result.FAIL))


class Zones:
    """A resolver that knows some names."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.broken = False
        self.slow = False

    async def addresses(self, host: str, *, ipv6: bool = True) -> list[str]:
        self.asked.append(host)
        if self.slow:
            await asyncio.Event().wait()
        if self.broken:
            raise DnsTemporary(host)
        if host not in self.names:
            raise NoSuchDomain(host)
        return self.names[host]


@dataclass
class Court:
    """A judge with all its parts, and a clock that a test moves."""

    folder: Path
    settings: SpamSettings = field(default_factory=SpamSettings)
    now: float = NOW

    def __post_init__(self) -> None:
        clock = lambda: self.now  # noqa: E731
        self.door = LearnedDoor()
        self.senders = Senders(self.door, clock)
        self.zones = Zones()
        greylisting = Greylisting(self.door, Greylist(self.folder / "greylist.sqlite3"), clock)
        place = lambda route: self.account(route.account.address)  # noqa: E731
        here = lambda peer: peer == "127.0.0.1"  # noqa: E731
        parts = Parts(self.door, self.senders, Lists(self.zones), greylisting, place, here, clock)
        self.judge = Judge("mail.a.test", self.settings, parts)

    def account(self, address: str) -> Path:
        path = self.folder / address
        path.mkdir(exist_ok=True)
        return path

    async def ask(
        self,
        *to: str,
        data: bytes = MESSAGE,
        known: Authentication | None = NOBODY,
        peer: str = "192.0.2.7",
        helo: str = "mail.far.example",
        away: bool = False,
    ) -> Verdict:
        recipients = []
        for text in to or ("alice@a.test",):
            record = AccountRecord(text, "", None, False, text)
            route = Remote(parse_address("x@b.test"), True) if away else Local(record)
            recipients.append((Recipient(parse_address(text)), (route,)))
        transaction = Transaction("id0", peer, helo, "ESMTP", None, None, self.now, parse_address("carol@far.example"))
        transaction.recipients = recipients
        return await self.judge.judge(transaction, Content.of(data), known)

    async def learn(self, address: str, number: int = 220) -> None:
        generator = Generator(3, 1)
        for junk in (True, False):
            for place, message in zip(range(number // 2), generator.messages(junk), strict=False):
                keys = [key(one) for one in tokens(message.data)]
                await self.door.run(self.account(address), LearnedFile.learn, f"{junk}{place}", keys, junk, 1)


@contextlib.asynccontextmanager
async def court(folder: Path, **settings: Any) -> AsyncIterator[Court]:
    one = Court(folder, SpamSettings(**settings))
    yield one
    await one.senders.close()
    await one.door.close()


def run(folder: Path, test: Callable[[Court], Awaitable[None]], **settings: Any) -> None:
    async def use() -> None:
        async with court(folder, **settings) as one:
            await test(one)

    asyncio.run(use())


def rules(verdict: Verdict, address: str = "alice@a.test") -> dict[str, float]:
    return {one.rule: one.weight for one in verdict.judgements[address].findings}


def test_an_ordinary_message_is_taken(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        verdict = await one.ask(known=KNOWN)
        assert isinstance(verdict, Accept)
        assert rules(verdict) == {"dmarc-pass": -0.5}
        assert not verdict.judgements["alice@a.test"].junk

    run(tmp_path, test)


def test_a_doubtful_stranger_comes_again_and_is_no_stranger_then(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        shape = {"helo": "nobody"}  # no name, no reverse, nobody answers: 3.5
        first = await one.ask(**shape)
        assert isinstance(first, Defer)
        assert first.reply.code == 451
        assert first.reply.enhanced == "4.7.1"
        assert "5 minutes" in first.reply.text
        assert rules(first)["helo-no-name"] == 1.5
        one.now += 60
        assert isinstance(await one.ask(**shape), Defer)
        one.now += 300
        assert isinstance(await one.ask(**shape), Accept)
        assert isinstance(await one.ask(**shape), Accept)

    run(tmp_path, test)


@pytest.mark.parametrize("shape", [{"known": KNOWN}, {"peer": "127.0.0.1", "helo": "nobody"}, {"peer": "local", "helo": "x"}])
def test_who_is_not_doubtful_or_has_no_address_of_his_own_never_waits(tmp_path: Path, shape: dict[str, Any]) -> None:
    async def test(one: Court) -> None:
        assert isinstance(await one.ask(**shape), Accept)

    run(tmp_path, test)


def test_whom_the_account_wrote_to_is_never_put_away_by_doubt(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        folder = one.account("alice@a.test")
        one.senders.count(folder, ["address:carol@far.example"], wrote=1.0)
        worst = {"helo": "mail.a.test", "data": b"From: carol@far.example\r\n\r\n"}
        for _ in range(2):  # as it is on its way to the file, and from there
            verdict = await one.ask(**worst)
            assert isinstance(verdict, Accept)
            assert not verdict.judgements["alice@a.test"].junk
            assert rules(verdict)["correspondent"] < -3
            await one.senders.flush()
        forged = replace(NOBODY, dmarc=Dmarc(Result.FAIL, "far.example"))
        assert (await one.ask(known=forged, **worst)).judgements["alice@a.test"].junk
        one.senders.count(folder, ["address:carol@far.example"], junk=3.0)  # he moved one to Junk since
        one.now += 600
        verdict = await one.ask(**worst)
        assert "correspondent" not in rules(verdict)

    run(tmp_path, test)


def test_recipients_that_differ_get_it_each_as_it_is_for_him(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        await one.learn("alice@a.test")
        data = next(message.data for message in Generator(3, 2).messages(True) if message.kind == "fraud")
        verdict = await one.ask("alice@a.test", "bob@a.test", data=data, known=KNOWN)
        assert isinstance(verdict, Accept)
        assert verdict.judgements["alice@a.test"].junk
        assert rules(verdict)["bayes"] >= 5
        assert not verdict.judgements["bob@a.test"].junk

    run(tmp_path, test, refuse=5.0)


def test_what_is_bad_for_all_is_refused_and_kept(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        verdict = await one.ask("alice@a.test", "bob@a.test", helo="mail.a.test", data=b"\r\n")
        assert isinstance(verdict, Reject)
        assert (verdict.reply.code, verdict.reply.enhanced, verdict.kept) == (550, "5.7.1", True)
        assert "id0" in verdict.reply.text
        assert "postmaster@a.test" in verdict.reply.text
        assert set(verdict.judgements) == {"alice@a.test", "bob@a.test"}
        assert isinstance(await one.ask("alice@a.test", "postmaster@a.test", helo="mail.a.test", data=b"\r\n"), Accept)
        assert isinstance(await one.ask("bob@b.test", away=True, helo="mail.a.test", data=b"\r\n"), Reject)

    run(tmp_path, test, refuse=9.0)


def test_who_sent_unwanted_mail_alone_is_a_stranger(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        one.senders.count(one.account("alice@a.test"), ["network:192.0.2.0/24"], junk=0.3)
        assert isinstance(await one.ask(helo="nobody"), Defer)
        one.senders.count(one.account("alice@a.test"), ["network:192.0.2.0/24"], good=0.4)
        assert isinstance(await one.ask(helo="nobody"), Accept)

    run(tmp_path, test)


def test_lists_weigh_and_refusals_do_not(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        one.zones.names = {
            "7.2.0.192.bl.test": ["127.0.0.2"],
            "7.2.0.192.refusing.test": ["127.255.255.254"],
            "7.2.0.192.good.test": ["127.0.0.3"],
            "far.example.dbl.test": ["127.0.1.2"],
        }
        found = rules(await one.ask(known=KNOWN))
        assert found == {"list:bl.test": 3.0, "list:good.test": -1.0, "list:dbl.test": 2.0, "dmarc-pass": -0.5}
        one.zones.asked.clear()
        assert "list:bl.test" not in rules(await one.ask(known=KNOWN, peer="127.0.0.1"))
        assert one.zones.asked == ["far.example.dbl.test"]
        one.zones.broken = True
        assert rules(await one.ask(known=KNOWN)) == {"dmarc-pass": -0.5}

    zones = ("bl.test 3", "refusing.test 9", "good.test -1")
    run(tmp_path, test, by_address=tuple(map(parse_list, zones)), by_domain=(parse_list("dbl.test 2"),))


def test_lists_that_never_answer_are_done_without(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        one.zones.slow = True
        assert rules(await one.ask(known=KNOWN)) == {"dmarc-pass": -0.5}

    run(tmp_path, test, by_address=(parse_list("bl.test 3"),), seconds=0.05)


class Outside:
    def __init__(self, opinion: Opinion | Exception) -> None:
        self.opinion = opinion

    async def ask(self, transaction: Transaction, content: Content) -> Opinion:
        if isinstance(self.opinion, Exception):
            raise self.opinion
        return self.opinion


def test_judges_outside_are_heard_and_may_fail(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        one.judge.outside = (Outside(Opinion((Finding("rspamd", 4.5, "x"),))), Outside(RuntimeError("broken")))
        assert rules(await one.ask(known=KNOWN))["rspamd"] == 4.5

    run(tmp_path, test)


def test_a_message_is_never_lost_because_a_judge_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a rule is broken")

    monkeypatch.setattr("mailstack.policy.spam.judge.look", broken)

    async def test(one: Court) -> None:
        verdict = await one.ask()
        assert isinstance(verdict, Accept)
        assert rules(verdict) == {"judge-failed": 0.0}

    run(tmp_path, test)


def test_files_that_cant_be_read_say_nothing(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        (one.account("alice@a.test") / "bayes.sqlite3").mkdir()
        assert isinstance(await one.ask(known=KNOWN), Accept)

    run(tmp_path, test)


def test_what_senders_did_is_remembered_and_fades(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        folder = one.account("alice@a.test")
        one.senders.count(folder, ["domain:far.example"], junk=6.0)
        await one.senders.flush()
        worst = rules(await one.ask(known=KNOWN))["reputation"]
        assert 2.5 < worst <= 3.0
        one.now += 200 * 86400
        assert "reputation" not in rules(await one.ask(known=KNOWN))

    run(tmp_path, test)


def test_many_recipients_are_judged(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        await one.learn("u54@a.test", 40)
        data = next(message.data for message in Generator(3, 1).messages(True))
        verdict = await one.ask(*(f"u{number}@a.test" for number in range(55)), known=KNOWN, data=data)
        assert len(verdict.judgements) == 55
        assert "bayes" in rules(verdict, "u54@a.test")
        assert "bayes" not in rules(verdict, "u53@a.test")

    run(tmp_path, test)


def test_off_is_off(tmp_path: Path) -> None:
    async def test(one: Court) -> None:
        assert await one.ask() == Accept()

    run(tmp_path, test, on=False)
