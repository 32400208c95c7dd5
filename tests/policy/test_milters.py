"""Milters: what they are told, what they change, what they refuse, and what happens without them."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.message.address import parse_address
from mailstack.message.envelope import Recipient
from mailstack.policy.inbound import InboundPolicy
from mailstack.policy.milters import INBOUND, SUBMISSION, Filtered, Milters, MilterSettings
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept, Defer, Reject, Verdict
from mailstack.store.content import Content
from mailstack.store.trace import Trace
from mailstack.store.users.directory import AccountRecord
from mailstack.wire.milter import (
    Actions,
    AddHeader,
    AddRecipient,
    Body,
    ChangeHeader,
    Connect,
    Header,
    InsertHeader,
    Macros,
    Mail,
    Packet,
    Quarantine,
    Rcpt,
    ReplaceBody,
    ReplyCode,
    Steps,
    Word,
)
from tests.policy.conftest import World
from tests.support.milter import Milter, running

MESSAGE = b"Subject: x\r\n y\r\nX-A:1\r\nX-Spam-Flag: NO\r\n\r\n" + b"z" * 70000
SHAPE = Accept(b"Date: d\r\n", frozenset({b"x-spam-flag"}), b"Authentication-Results: a; none\r\n")
TOP = b"Authentication-Results: a; none\r\n"


class Events(Trace):
    """A trace of which nothing is written."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, object]]] = []

    def record(self, id: str, name: str, moment: float | None = None, **fields: object) -> None:
        self.seen.append((name, fields))


def transaction() -> Transaction:
    one = Transaction("id0", "192.0.2.7", "far.test", "ESMTP", None, None, 0.0, parse_address("x@far.test"))
    one.recipients = [(Recipient(parse_address(address)), ()) for address in ("alice@a.test", "bob@a.test")]
    return one


def ask(
    *milters: Milter,
    offers: Actions = INBOUND,
    defers: bool = True,
    seconds: float = 20.0,
    trace: Events | None = None,
    about: Transaction | None = None,
) -> Filtered | Reject | Defer | None:
    async def work() -> Filtered | Reject | Defer | None:
        async with contextlib.AsyncExitStack() as stack:
            for one in milters:
                await stack.enter_async_context(running(one))
            addresses = tuple(f"inet:127.0.0.1:{one.port}" for one in milters)
            settings = MilterSettings(addresses, seconds, defers)
            door = Milters("mail.a.test", trace or Events(), offers, settings)
            return await door.ask(about or transaction(), Content.of(MESSAGE), SHAPE)

    return asyncio.run(work())


def test_all_that_is_known_is_told() -> None:
    one = Milter()
    assert ask(one) is None
    assert one.offered is not None
    assert one.offered.actions == Actions.ADD_HEADERS | Actions.CHANGE_HEADERS | Actions.QUARANTINE
    commands = [packet for packet in one.told if not isinstance(packet, Macros)]
    assert commands[0] == Connect(b"[192.0.2.7]", b"4", 0, b"192.0.2.7")
    assert commands[2:6] == [Mail((b"<x@far.test>",)), Rcpt((b"<alice@a.test>",)), Rcpt((b"<bob@a.test>",)), Word.DATA]
    # As we would take it: with what we add, without what we leave out.
    assert commands[6:11] == [
        Header(b"Authentication-Results", b"a; none"), Header(b"Date", b"d"), Header(b"Subject", b"x\n y"),
        Header(b"X-A", b"1"), Word.END_OF_HEADER,
    ]  # fmt: skip
    assert [len(packet.data) for packet in commands[11:13] if isinstance(packet, Body)] == [65535, 70000 - 65535]
    assert commands[13:] == [Word.END_OF_MESSAGE, Word.QUIT]
    known = {name: value for packet in one.told if isinstance(packet, Macros) for name, value in packet.values}
    assert (known[b"i"], known[b"j"]) == (b"id0", b"mail.a.test")


def test_how_an_account_logged_in_is_told() -> None:
    one = transaction()
    one.account, one.mechanism = AccountRecord("alice@a.test", "", None, False, "x"), "SCRAM-SHA-256"
    milter = Milter()
    assert ask(milter, about=one) is None
    known = {name: value for packet in milter.told if isinstance(packet, Macros) for name, value in packet.values}
    assert (known[b"{auth_type}"], known[b"{auth_authen}"]) == (b"SCRAM-SHA-256", b"alice@a.test")


def test_what_it_wants_not_to_see_is_not_shown() -> None:
    steps = Steps.NO_CONNECT | Steps.NO_HELO | Steps.NO_MAIL | Steps.NO_RCPT | Steps.NO_BODY | Steps.NO_DATA
    one = Milter(steps=steps | Steps.NO_HEADERS | Steps.NO_END_OF_HEADER)
    assert ask(one) is None
    assert [packet for packet in one.told if not isinstance(packet, Macros)] == [Word.END_OF_MESSAGE, Word.QUIT]
    old = Milter(version=2)
    assert ask(old) is None
    assert Word.DATA not in old.told
    skipping = Milter({b"B": [Word.SKIP]})
    assert ask(skipping) is None
    assert sum(isinstance(packet, Body) for packet in skipping.told) == 1
    silent = Milter(steps=Steps.SILENT_BODY)
    assert ask(silent) is None


@pytest.mark.parametrize("spaced", [True, False])
def test_what_it_changes(spaced: bool) -> None:
    space = b" " if spaced else b""
    changes: list[Packet] = [
        Word.PROGRESS, InsertHeader(1, b"Authentication-Results", space + b"b;\n dkim=pass"),
        AddHeader(b"X-End", space + b"e"), ChangeHeader(1, b"x-a", b""), ChangeHeader(1, b"Subject", space + b"new"),
        Word.ACCEPT,
    ]  # fmt: skip
    one = Milter({b"E": changes}, Steps.LEADING_SPACE if spaced else Steps(0), octets=True)
    # The next is shown what the first made of it.
    two, trace = Milter(), Events()
    assert ask(one, two, trace=trace) == Filtered(
        b"Authentication-Results: b;\r\n dkim=pass\r\n" + TOP, b"Date: d\r\nSubject: new\r\nX-End: e\r\n\r\n"
    )
    assert Header(b"X-End", b"e") in two.told
    (name, fields), _ = trace.seen
    assert name == "milter"
    assert fields["changes"] == ["added Authentication-Results", "added X-End", "removed x-a", "changed Subject"]


@pytest.mark.parametrize("letter", [b"C", b"H", b"M", b"R", b"T", b"L", b"N", b"B"])
def test_it_may_refuse_at_any_time(letter: bytes) -> None:
    one, two = Milter({letter: [Word.REJECT]}), Milter()
    verdict = ask(one, two)
    assert isinstance(verdict, Reject)
    assert one.told[-2:] == [Word.ABORT, Word.QUIT]
    assert not two.told


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (Word.REJECT, "550 5.7.1 A mail filter refuses this message (id0)"),
        (Word.DISCARD, "550 5.7.1 A mail filter refuses this message (id0)"),  # never silently
        (Word.TEMPFAIL, "451 4.7.1 A mail filter asks to try again later (id0)"),
        (ReplyCode(b"554 5.7.0 100%% no"), "554 5.7.0 100% no"),
        (ReplyCode(b"421-4.3.2 Go\r\n421 4.3.2 away\r\n"), "451 4.3.2 Go away"),
    ],
)
def test_what_it_refuses(answer: Packet, reply: str) -> None:
    verdict = ask(Milter({b"E": [answer]}))
    assert isinstance(verdict, Reject if reply.startswith("5") else Defer)
    assert (str(verdict.reply), verdict.reason) == (reply, "milter")


@pytest.mark.parametrize(
    "answers",
    [
        {b"O": None},
        {b"O": [Word.CONTINUE]},
        {b"C": None},
        {b"C": [Word.CONNECTION_FAILED]},
        {b"B": [Word.SHUTDOWN]},
        {b"M": [ReplyCode(b"250 2.0.0 yes")]},
        {b"M": [ReplyCode(b"no reply")]},
        {b"E": [AddHeader(b"X", b"a\nBcc: x"), Word.ACCEPT]},
        {b"E": [AddRecipient(b"<x@y>"), Word.ACCEPT]},  # was not offered
        {b"E": [ReplaceBody(b"x"), Word.ACCEPT]},
        {b"E": [AddHeader(b"X", b"y")] * 1001},
        {b"E": [AddHeader(b"X", b"y" * 60000)] * 20},
        {b"E": None},
        {b"E": []},
    ],
)
def test_one_that_fails_costs_no_message(answers: dict[bytes, list[Packet] | None]) -> None:
    silent = answers == {b"E": []}
    seconds, trace = 0.3 if silent else 20.0, Events()
    verdict = ask(Milter(answers), trace=trace, seconds=seconds)
    assert isinstance(verdict, Defer)
    assert (verdict.reply.code, verdict.reason) == (451, "milter-failed")
    assert trace.seen[0][1]["problem"]
    if silent:
        return  # the next one has no more time
    # Another one is asked all the same.
    another = Milter({b"E": [AddHeader(b"X", b"y"), Word.CONTINUE]})
    found = ask(Milter(answers), another, defers=False, seconds=seconds)
    assert isinstance(found, Filtered)
    assert found.header.endswith(b"X-A:1\r\nX: y\r\n\r\n")


def test_nobody_there() -> None:
    async def work() -> object:
        door = Milters("mail.a.test", Events(), INBOUND, MilterSettings(("unix:/nowhere/at/all", "127.0.0.1:1"), 5.0, False))
        return await door.ask(transaction(), Content.of(MESSAGE), SHAPE)

    assert asyncio.run(work()) is None


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    one = World(tmp_path_factory.mktemp("world"))
    yield one
    one.close()


def test_quarantine_is_junk_for_all_here(world: World) -> None:
    one = Milter({b"E": [Quarantine(b"looks odd"), Word.ACCEPT]})

    async def work() -> Verdict:
        async with running(one):
            milters = Milters("mail.a.test", Events(), INBOUND, MilterSettings((f"127.0.0.1:{one.port}",)))
            about = transaction()
            about.recipients = [
                (Recipient(parse_address(text)), await world.router.route(parse_address(text)))
                for text in ("both@a.test", "carol@a.test")
            ]
            return await InboundPolicy(world.recipients, milters=milters).body(about, Content.of(MESSAGE))

    verdict = world.run(work())
    assert isinstance(verdict, Accept)
    assert set(verdict.judgements) == {"alice@a.test", "bob@a.test", "carol@a.test"}
    assert all(judgement.junk for judgement in verdict.judgements.values())
    assert verdict.header == b"Subject: x\r\n y\r\nX-A:1\r\n\r\n"
    # What users send has no Junk to go into.
    refused = ask(Milter({b"E": [Quarantine(b"x"), Word.ACCEPT]}), offers=SUBMISSION)
    assert isinstance(refused, Defer)


def test_a_spool_file_is_read_too(tmp_path: Path) -> None:
    one = Milter()

    async def work() -> None:
        content = Content(tmp_path, memory_limit=10)
        content.write(MESSAGE)
        async with running(one):
            door = Milters("mail.a.test", Events(), INBOUND, MilterSettings((f"127.0.0.1:{one.port}",)))
            assert await door.ask(transaction(), content, SHAPE) is None
        content.close()

    asyncio.run(work())
    assert b"".join(packet.data for packet in one.told if isinstance(packet, Body)) == b"z" * 70000
