"""What becomes of a message in one account: where it is kept, and that all of a plan is carried out or nothing."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailstack.delivery.plan import Answer, Arrival, Keep, Memory, Plan, Redirect, Refusal
from mailstack.message.address import parse_address
from mailstack.message.envelope import Recipient
from mailstack.message.flag import Flags
from mailstack.policy.judgement import Finding, Judgement
from mailstack.policy.routing import Local
from mailstack.store.errors import StoreFailed
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.values import SpecialUse
from tests.delivery.test_accept import BODY, TRACE, accept
from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer, until
from tests.support.relay import Relay

JUNK = Judgement(7.5, (Finding("dnsbl", 7.5, "listed"),), junk=True)


@pytest.fixture
async def here(tmp_path: Path, dns: DnsServer, peer: Peer) -> AsyncIterator[Relay]:
    async with Relay(tmp_path, dns, peer) as relay:
        await relay.add("bob@a.test")
        yield relay


async def account_of(relay: Relay, address: str = "alice@a.test") -> Account:
    record = await relay.data.directory.account(address)
    assert record is not None
    return await relay.data.mailboxes.account(relay.data.directory.folder(record))


async def stored(relay: Relay, name: str, address: str = "alice@a.test") -> list[bytes]:
    mailbox = await (await account_of(relay, address)).open(name)
    try:
        return list((await mailbox.read_many(list(mailbox.uids))).values())
    finally:
        mailbox.release()


def always(relay: Relay, plan: Plan, address: str = "alice@a.test") -> list[tuple[Memory, ...]]:
    """Let an account have this plan for all that comes; what was to be remembered."""
    real, remembered = relay.planner.plan, []

    async def planned(route: Local, arrival: Arrival) -> Plan:
        return plan if route.account.address == address else await real(route, arrival)

    async def remember(route: Local, memories: tuple[Memory, ...]) -> None:
        remembered.append(memories)

    relay.planner.plan = planned  # type: ignore[method-assign]
    relay.planner.remember = remember  # type: ignore[method-assign]
    return remembered


async def test_what_is_judged_junk_goes_into_junk_of_that_account_alone(here: Relay) -> None:
    judgements = {"alice@a.test": JUNK, "bob@a.test": replace(JUNK, junk=False)}
    assert (await accept(here, "alice@a.test", "bob@a.test", judgements=judgements)).positive
    assert await here.inbox() == []
    (found,) = await stored(here, "Junk")
    assert b"X-Spam-Status: Yes, score=7.5" in found
    assert b"X-Spam-Status: No" in (await here.inbox("bob@a.test"))[0]
    # Where Junk was deleted, or has another name.
    account = await account_of(here)
    await account.delete("Junk")
    assert (await accept(here, "alice@a.test", judgements=judgements)).positive
    assert len(await stored(here, "Junk")) == 1
    await account.delete("Junk")
    await account.create("Spam", SpecialUse.JUNK)
    assert (await accept(here, "alice@a.test", judgements=judgements)).positive
    assert len(await stored(here, "Spam")) == 1


async def test_junk_out_of_the_queue_is_still_junk(here: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await account_of(here, "bob@a.test")
    real, failing = Account.prepare, True

    async def prepare(self: Account, *arguments: object) -> object:
        if self is account and failing:
            raise StoreFailed("broken")
        return await real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Account, "prepare", prepare)
    assert (await accept(here, "alice@a.test", "bob@a.test", judgements={"bob@a.test": JUNK})).positive
    await until(lambda: not here.queue.messages)
    assert len(await stored(here, "Junk", "bob@a.test")) == 1


async def test_a_tag_names_a_mailbox_where_that_is_wanted(here: Relay) -> None:
    account = await account_of(here)
    await account.create("Lists/Python")
    for tag in ("lists.python", "Lists/Python", "nothing", "sent", ""):
        assert (await accept(here, f'"alice+{tag}"@a.test' if not tag else f"alice+{tag}@a.test")).positive
    assert len(await here.inbox()) == 5
    here.planner.subaddress = True
    for tag in ("lists.python", "Lists/Python", "nothing", "sent"):
        assert (await accept(here, f"alice+{tag}@a.test")).positive
    assert len(await stored(here, "Lists/Python")) == 2
    assert len(await here.inbox()) == 7
    assert await stored(here, "Sent") == []


async def test_several_copies_with_flags(here: Relay) -> None:
    await (await account_of(here)).create("Work")
    always(here, Plan((Keep(), Keep("Work", Flags.SEEN | Flags.FLAGGED, frozenset({"$urgent"})))))
    assert (await accept(here, "alice@a.test")).positive
    assert await here.inbox() == await stored(here, "Work") == [b"Return-Path: <far@far.test>\r\n" + TRACE + BODY]
    work = await (await account_of(here)).open("Work")
    assert Flags.SEEN | Flags.FLAGGED in Flags(work.flags[0])
    assert "$urgent" in (work.loaded.keywords or [])
    work.release()


async def test_a_plan_that_cannot_be_carried_out_keeps_the_message_in_inbox(here: Relay) -> None:
    many = frozenset(f"k{number}" for number in range(27))
    for plan in (Plan((Keep("Nowhere"),)), Plan((Keep("Junk", keywords=many),))):
        always(here, plan)
        before = len(await here.inbox())
        assert (await accept(here, "alice@a.test")).positive
        assert (await accept(here, "alice@a.test", "bob@a.test")).positive
        await until(lambda: not here.queue.messages)
        assert len(await here.inbox()) == before + 2
        assert await stored(here, "Junk") == []


async def test_redirects_answers_and_memories(here: Relay, peer: Peer, dns: DnsServer) -> None:
    plan = Plan(
        (Keep("Archive", header=b"X-New: 1\r\nSubject: other\r\n\r\n"),),
        (Redirect(parse_address("x@b.test")), Redirect(parse_address("bob@a.test"))),
        (Answer("vacation", parse_address("y@c.test"), b"Subject: away\r\n\r\nbye\r\n"),),
        memories=(Memory(("vacation", "far"), 60.0),),
    )
    remembered = always(here, plan)
    assert (await accept(here, "alice@a.test")).positive
    assert await stored(here, "Archive") == [b"Return-Path: <far@far.test>\r\nX-New: 1\r\nSubject: other\r\n\r\nbody\r\n"]
    await until(lambda: not here.queue.messages)
    sent = {message.to[0]: message for message in peer.messages}
    assert set(sent) == {"x@b.test", "y@c.test"}
    assert sent["x@b.test"].mail.startswith("MAIL FROM:<SRS0=")
    assert sent["x@b.test"].data == b"X-Sieve-Redirected-From: alice@a.test\r\n" + TRACE + BODY
    assert sent["y@c.test"].mail.startswith("MAIL FROM:<>")
    assert len(await here.inbox("bob@a.test")) == 1
    assert remembered == [plan.memories]


async def test_a_refusal_is_said_in_the_dialog_or_by_a_notice(here: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("far.test", MX=["10 mail.b.test."])
    always(here, Plan((), reject=Refusal("not at\r\nall")))
    reply = await accept(here, "alice@a.test")
    assert (reply.code, reply.enhanced, reply.text) == (550, "5.7.1", "not at all")
    assert (await accept(here, "alice@a.test", "bob@a.test", sender=None)).positive
    await until(lambda: not here.queue.messages)
    assert peer.messages == []
    assert (await accept(here, "alice@a.test", "bob@a.test")).positive
    await until(lambda: len(peer.messages) == 1)
    assert peer.messages[0].to == ["far@far.test"]
    assert b"not at" in peer.messages[0].data
    assert peer.messages[0].data.count(b"Final-Recipient: rfc822; alice@a.test") == 1
    assert await here.inbox() == []
    # Out of the queue the sender is told as of every failure.
    await here.send(Recipient(parse_address("alice@a.test")), sender="far@far.test", account=None)
    await until(lambda: len(peer.messages) == 2)
    assert b"not at" in peer.messages[1].data


async def test_what_is_dropped_is_accepted_and_leaves_nothing(here: Relay, peer: Peer) -> None:
    always(here, Plan(()))
    assert (await accept(here, "alice@a.test")).positive
    assert (await accept(here, "alice@a.test", "bob@a.test")).positive
    assert await here.inbox() == []
    assert len(await here.inbox("bob@a.test")) == 1
    events = [event["event"] for event in await here.data.trace.find("alice@a.test")]
    assert events.count("discarded") == 2
