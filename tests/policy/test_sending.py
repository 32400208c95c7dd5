"""How much may be sent, and what stops an account. The clock is the test's; the database is real, and so is a restart."""

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.message.address import parse_address
from mailstack.policy.routing import Local, Remote
from mailstack.policy.sending import Sending, SendingRules
from mailstack.policy.signs import Sign, SignSettings
from mailstack.policy.tally import DAY, HOUR, SLOT, add, slot_of, total, until_less
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept, Verdict
from mailstack.store.behind import WriteBehind
from mailstack.store.database import Database
from mailstack.store.users.directory import AccountRecord
from mailstack.store.users.sending import Allowance, SendingBook, Stop

SETTINGS = SendingRules(Allowance(10, 30, 20, 5), Allowance(25, 60, 40, 0), SignSettings(0, 0, 0, 0))
HOME = "192.0.2.1"


class World:
    def __init__(self, folder: Path) -> None:
        self.now = 1_000_000_000.0
        self.database = Database(folder / "mailstack.sqlite3")
        self.database.start()
        self.behind = WriteBehind(self.database, 0.0)
        self.told: list[Stop] = []
        self.sending = self.again()

    def again(self) -> Sending:
        sending = Sending(SendingBook(self.database, self.behind), lambda: self.now)
        sending.use(SETTINGS)
        sending.on_stopped = self.tell
        return sending

    async def tell(self, stop: Stop) -> None:
        self.told.append(stop)

    def signs(self, **signs: int) -> None:
        self.sending.use(dataclasses.replace(SETTINGS, signs=SignSettings(**{**dict.fromkeys(SIGNS, 0), **signs})))

    async def send(
        self, *to: str, account: str = "alice@a.test", peer: str = HOME, outside: int | None = None
    ) -> list[Verdict]:
        """What MAIL, each RCPT and the final dot are answered, up to the first no."""
        record = AccountRecord(account, "", None, False, "x")
        one = Transaction("0" * 16, peer, "x", "ESMTPSA", None, record, self.now)
        answers: list[Verdict] = [await self.sending.begin(one)]
        for text in to:
            if isinstance(answers[-1], Accept):
                address = parse_address(text)
                route = Local(record) if address.domain == "a.test" else Remote(address)
                answers.append(await self.sending.recipient(one, address, (route,)))
                if outside is not None:
                    one.outside[text] = outside
                one.recipients.append(None)  # type: ignore[arg-type]
        if isinstance(answers[-1], Accept):
            answers.append(await self.sending.take(one))
        return answers

    async def sent(self, *to: str, account: str = "alice@a.test", peer: str = HOME, outside: int | None = None) -> str:
        """Why not; "" when it went."""
        last = (await self.send(*to, account=account, peer=peer, outside=outside))[-1]
        return "" if isinstance(last, Accept) else last.reason


SIGNS = ("burst", "refusals", "networks", "overruns")


@pytest.fixture
async def world(folder: Path) -> AsyncIterator[World]:
    one = World(folder)
    yield one
    await one.sending.settled()
    await one.behind.close()
    one.database.close()


def test_slots_count_as_moments_do() -> None:
    chance = random.Random(3)
    slots: dict[int, int] = {}
    moments: list[float] = []
    now = 5_000_000.0
    for _ in range(400):
        now += chance.expovariate(1 / 200.0) * chance.choice((1, 1, 1, 20))
        add(slots, slot_of(now))
        moments.append(now)
        for span in (HOUR, DAY):
            least = sum(moment > now - (span - 1) * SLOT for moment in moments)
            most = sum(moment > now - span * SLOT for moment in moments)
            assert least <= total(slots, slot_of(now), span) <= most
    assert len(slots) <= DAY + 1
    wait = until_less(slots, now, HOUR)
    assert 0 < wait <= HOUR * SLOT
    assert total(slots, slot_of(now + wait), HOUR) < total(slots, slot_of(now), HOUR)


async def test_an_hour_and_a_day(world: World) -> None:
    for _ in range(10):
        assert await world.sent("bob@a.test") == ""
    refused = (await world.send("bob@a.test"))[-1]
    assert not isinstance(refused, Accept)
    assert str(refused.reply) == "450 4.7.1 alice@a.test may send 10 messages an hour; try again in 53 min"
    for _ in range(2):
        world.now += 3601
        for _ in range(10):
            assert await world.sent("bob@a.test") == ""
    world.now += 3601
    refused = (await world.send("bob@a.test"))[-1]
    assert not isinstance(refused, Accept)
    assert str(refused.reply) == "550 5.7.1 alice@a.test may send 30 messages a day; try again in 21 h"
    world.now += 86400
    assert await world.sent("bob@a.test") == ""


async def test_a_domain_is_all_its_accounts(world: World) -> None:
    for number in range(25):
        assert await world.sent("bob@a.test", account=f"user{number % 5}@a.test") == ""
    assert await world.sent("bob@a.test", account="late@a.test") == "sending-hour"
    assert await world.sent("bob@a.test", account="alice@c.test") == ""
    await world.sending.except_("@a.test", Allowance(hour=0))
    assert await world.sent("bob@a.test", account="late@a.test") == ""


async def test_new_recipients(world: World) -> None:
    for number in range(4):
        assert await world.sent(*(f"x{number}{letter}@far.test" for letter in "abcde")) == ""
    # Twenty; those that are known, and colleagues, go on.
    assert await world.sent("x0a@far.test", "X1B@FAR.test", "bob@a.test") == ""
    refused = (await world.send("x0a@far.test", "new@far.test"))[-1]
    assert not isinstance(refused, Accept)
    assert str(refused.reply).startswith("550 5.7.1 alice@a.test may write to 20 new recipients a day")
    # Known to one is known to nobody else.
    assert await world.sent("x0a@far.test", account="bob@a.test") == ""
    world.now += 86400 + 600
    assert await world.sent("new@far.test") == ""
    _, _, used = await world.sending.state("alice@a.test")
    assert used == (1, 1, 1)


async def test_the_same_new_recipient_twice_in_a_message_and_at_once(world: World) -> None:
    assert await world.sent("x@far.test", "X@far.test") == ""
    one, two = await asyncio.gather(world.sent("y@far.test"), world.sent("y@far.test"))
    assert (one, two) == ("", "")
    _, _, used = await world.sending.state("alice@a.test")
    assert used == (3, 3, 2)


async def test_mail_to_a_list_counts_as_what_it_would_take_without_it(world: World) -> None:
    """Ten messages an hour with five recipients each: no list lets more through, and none is too large for a message."""
    assert [await world.sent("list@a.test", outside=12) for _ in range(5)] == ["", "", "", "", "sending-hour"]  # 3 each
    world.now += HOUR * SLOT
    assert [await world.sent("list@a.test", outside=500) for _ in range(2)] == ["", "sending-hour"]
    assert await world.sent("list@a.test", account="bob@a.test", outside=0) == "sending-hour"  # the domain's
    world.now += DAY * SLOT
    assert [await world.sent("list@a.test", outside=5) for _ in range(10)] == [""] * 10
    assert world.told == []
    await world.sending.except_("bob@a.test", Allowance(recipients=0))
    assert [await world.sent("list@a.test", account="bob@a.test", outside=500) for _ in range(3)] == [""] * 3


async def test_recipients_of_one_message(world: World) -> None:
    answers = await world.send(*(f"u{number}@a.test" for number in range(6)))
    assert [isinstance(answer, Accept) for answer in answers] == [True] * 6 + [False]
    last = answers[-1]
    assert not isinstance(last, Accept)
    assert str(last.reply) == "452 4.5.3 alice@a.test may send a message to 5 recipients"


async def test_a_hundred_connections_share_one_limit(world: World) -> None:
    answers = await asyncio.gather(*(world.sent("bob@a.test") for _ in range(100)))
    assert answers.count("") == 10
    assert answers.count("sending-hour") == 90


async def test_counts_survive_a_restart(world: World) -> None:
    for number in range(9):
        assert await world.sent(f"x{number}@far.test", f"y{number}@far.test") == ""
    await world.sending.except_("alice@a.test", Allowance(day=9))
    await world.behind.flush()
    world.sending = world.again()
    page, allowance, used = await world.sending.state("alice@a.test")
    assert used == (9, 9, 18)
    assert page.exception == Allowance(day=9)
    assert allowance == Allowance(10, 9, 20, 5)
    assert await world.sent("x0@far.test") == "sending-day"
    await world.sending.except_("alice@a.test", Allowance())
    assert await world.sent("x0@far.test") == "", "known from before"


async def test_exceptions(world: World) -> None:
    await world.sending.except_("alice@a.test", Allowance(hour=0, day=0, fresh=0, recipients=0))
    for number in range(12):
        assert await world.sent(*(f"x{number}-{place}@far.test" for place in range(3))) == ""
    assert Allowance(hour=3).over(Allowance(1, 2, 0, None)) == Allowance(3, 2, 0, None)


async def test_a_burst_to_strangers(world: World) -> None:
    """A newsletter is one message; an abuser sends many."""
    world.signs(burst=8)
    await world.sending.except_("alice@a.test", Allowance(recipients=0, fresh=0))
    assert await world.sent(*(f"member{number}@far.test" for number in range(15))) == ""
    world.now += 7200
    answers = [await world.sent(f"s{number}a@far.test", f"s{number}b@far.test") for number in range(6)]
    assert answers == ["", "", "", "", "sending-stopped", "sending-stopped"]
    await world.sending.settled()
    assert [(stop.account, stop.sign) for stop in world.told] == [("alice@a.test", Sign.BURST)]
    assert "10 addresses" in world.told[0].text
    refused = (await world.send("bob@a.test"))[-1]
    assert not isinstance(refused, Accept)
    assert str(refused.reply) == (
        "550 5.7.1 Sending is stopped for alice@a.test: it wrote to 10 addresses within an hour to which it never wrote "
        "before. The postmaster can let it go on"
    )
    # Nobody else is.
    assert await world.sent("x@far.test", account="bob@a.test") == ""
    # A restart lets nobody go.
    world.sending = world.again()
    assert await world.sent("bob@a.test") == "sending-stopped"
    assert [stop.account for stop in await world.sending.stops()] == ["alice@a.test"]
    assert await world.sending.release("alice@a.test")
    assert not await world.sending.release("alice@a.test")
    assert await world.sent("bob@a.test") == ""


async def test_many_refusals_by_others(world: World) -> None:
    world.signs(refusals=5)

    def outcome(*, refused: bool, to: str = "x@far.test") -> None:
        world.sending.outcome("alice@a.test", to, refused=refused)

    assert await world.sent("x@far.test") == ""
    for _ in range(50):  # an alias or a list that she wrote to sent it on
        outcome(refused=True, to="member@far.test")
    for _ in range(20):
        outcome(refused=False)
    for _ in range(9):  # an old list, but most of it arrives
        outcome(refused=True)
    await world.sending.settled()
    assert not world.told
    outcome(refused=True)
    outcome(refused=True)
    await world.sending.settled()
    assert [stop.sign for stop in world.told] == [Sign.REFUSALS]
    assert await world.sent("bob@a.test") == "sending-stopped"


async def test_many_networks_at_once(world: World) -> None:
    world.signs(networks=3)
    for peer in ("8.8.1.1", "8.8.200.9", "9.9.1.1", "2600:1::1", "2600:1:2::1", "10.0.0.1", "192.168.1.1", "::1", "local"):
        assert await world.sent("bob@a.test", peer=peer) == "", peer
    world.now += 7200
    for peer in ("1.1.1.1", "2.2.2.2", "3.3.3.3"):
        assert await world.sent("bob@a.test", peer=peer) == ""
    assert await world.sent("bob@a.test", peer="4.4.4.4") == "sending-stopped"


async def test_one_who_goes_on_against_the_limits(world: World) -> None:
    world.signs(overruns=5)
    for _ in range(10):
        await world.sent("bob@a.test")
    answers = [await world.sent("bob@a.test") for _ in range(6)]
    assert answers == ["sending-hour"] * 5 + ["sending-stopped"]
    # One message that is too much counts once, however many recipients it names.
    world.now += 90_000
    await world.sending.release("alice@a.test")
    record = AccountRecord("alice@a.test", "", None, False, "x")
    one = Transaction("0" * 16, HOME, "x", "ESMTPSA", None, record, world.now)
    for number in range(60):
        address = parse_address(f"z{number}@far.test")
        await world.sending.recipient(one, address, (Remote(address),))
    assert await world.sent("bob@a.test") == ""


async def test_an_account_that_is_gone_leaves_nothing(world: World) -> None:
    assert await world.sent("x@far.test") == ""
    await world.sending.except_("alice@a.test", Allowance(hour=1))
    await world.sending.stop("alice@a.test", Sign.ADMIN, "enough")
    assert await world.sending.stop("alice@a.test", Sign.ADMIN, "again") is None
    await world.sending.forget("alice@a.test")
    page, allowance, used = await world.sending.state("alice@a.test")
    assert (page.stop, allowance.hour, used) == (None, 10, (0, 0, 0))
    assert await world.sent("x@far.test") == ""
    assert (await world.sending.state("alice@a.test"))[2] == (1, 1, 1), "it is new again"


async def test_pages_that_leave_memory_are_counted_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.policy.sending.PAGES", 4)
    for _ in range(3):
        for number in range(6):
            assert await world.sent("bob@a.test", account=f"u@d{number}.test") == ""
    for number in range(6):
        assert (await world.sending.state(f"u@d{number}.test"))[2] == (3, 3, 0)
