"""Scripts on what happens in a mailbox, where something leaves or goes wrong; the dialogs imapsieve.txt show the rest."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.delivery.consequences import Consequences
from mailstack.delivery.events import ENTRY, Event, Events
from mailstack.delivery.parcels import Parcels
from mailstack.message.flag import Flags
from mailstack.policy.sending import SendingRules
from mailstack.policy.signs import SignSettings
from mailstack.store.content import Content
from mailstack.store.errors import StoreFailed
from mailstack.store.mailbox.values import NewMessage
from mailstack.store.users.sending import Allowance
from tests.delivery.test_plan import account_of, stored
from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer, until
from tests.support.relay import Relay

BODY = b"From: x@far.test\r\nTo: alice@a.test\r\nSubject: hello\r\nMessage-ID: <1@far.test>\r\n\r\nbody\r\n"
REQUIRE = 'require ["imapsieve", "fileinto", "copy", "enotify", "editheader", "include", "environment", "duplicate"];'


@pytest.fixture
async def here(tmp_path: Path, dns: DnsServer, peer: Peer) -> AsyncIterator[Relay]:
    async with Relay(tmp_path, dns, peer) as relay:
        yield relay


def events_of(relay: Relay) -> Events:
    data = relay.data
    parcels = Parcels(relay.router, data.directory, "mail.a.test", relay.clock, relay.random)
    consequences = Consequences(
        data.rules, relay.router, parcels, data.queue, data.sending, data.trace, "mail.a.test", relay.clock
    )
    return Events(data.rules, consequences, relay.clock, relay.random)


async def happens(relay: Relay, script: str, events: Events | None = None, times: int = 1) -> list[int]:
    """Messages come into Archive by an APPEND; the flags that each has then."""
    await relay.data.scripts.put("a.test/alice", "here", script.encode())
    account = await account_of(relay)
    await account.annotate("Archive", {ENTRY: b"here"})
    uids = (await account.append_all("Archive", [NewMessage(Content.of(BODY)) for _ in range(times)])).uids
    owner = await relay.data.directory.account("alice@a.test")
    assert owner is not None
    event = Event("APPEND", account, owner, "Archive", uids, "alice@a.test")
    await (events or events_of(relay)).happened(event, lambda done, goal: None)
    await until(lambda: not relay.queue.messages)
    mailbox = await account.open("Archive")
    try:
        return [mailbox.flags[place] for uid in uids if (place := mailbox.position(uid)) is not None]
    finally:
        mailbox.release()


async def test_redirect_and_notify_leave_in_the_name_of_the_owner(here: Relay, peer: Peer) -> None:
    assert await happens(here, REQUIRE + 'redirect "x@b.test"; notify "mailto:phone@b.test";') == [Flags.DELETED]
    sent = {one.to[0]: one for one in peer.messages}
    assert set(sent) == {"x@b.test", "phone@b.test"}
    assert sent["x@b.test"].mail.split()[1] == "FROM:<alice@a.test>"
    assert sent["x@b.test"].data.endswith(BODY)
    assert b"X-Sieve-Redirected-From: alice@a.test" in sent["x@b.test"].data
    # What this account sent on before stays.
    loop = REQUIRE + 'addheader "X-Sieve-Redirected-From" "alice@a.test"; redirect "x@b.test";'
    assert await happens(here, loop) == [Flags.DELETED]
    assert await happens(here, REQUIRE + 'redirect :copy "alice@a.test";') == [0]
    assert len(await here.inbox()) == 1


async def test_a_changed_header_is_that_of_the_copy_alone(here: Relay) -> None:
    script = REQUIRE + 'addheader "X-Seen" "yes"; fileinto :copy "INBOX"; if duplicate { discard; }'
    assert await happens(here, script, times=2) == [0, Flags.DELETED]  # the same Message-ID
    assert [one.startswith(b"X-Seen: yes\r\n") for one in await here.inbox()] == [True, True]
    assert await stored(here, "Archive") == [BODY, BODY]


FAILING = [
    'fileinto "Nowhere";',
    'redirect "x@b.test"; fileinto "Nowhere";',
    'include "no such script";',
    'include "answers";',
]


async def test_what_fails_leaves_the_message_alone_and_its_owner_is_told_once(here: Relay, peer: Peer) -> None:
    await here.data.scripts.put("a.test/alice", "answers", b'require "vacation"; vacation "away";')
    for script in FAILING:
        assert await happens(here, REQUIRE + script) == [0]
    (here.data.path / "mail/a.test/alice/sieve/here.sieve").write_text("broken")
    (notice,) = await here.inbox()
    assert b"there is no mailbox" in notice
    assert peer.messages == []


async def test_the_limits_of_sending_hold(here: Relay, peer: Peer) -> None:
    here.data.sending.use(SendingRules(Allowance(1, 10, 10, 10), Allowance(0, 0, 0, 0), SignSettings(0, 0, 0, 0)))
    assert await happens(here, REQUIRE + 'redirect "x@b.test";', times=3) == [Flags.DELETED, 0, 0]
    assert len(peer.messages) == 1


async def test_trouble_with_the_disk_is_no_trouble_of_the_command(here: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise StoreFailed("broken")

    monkeypatch.setattr(here.queue, "prepare", fail)
    assert await happens(here, REQUIRE + 'redirect "x@b.test";') == [0]
    monkeypatch.setattr(here.data.rules, "outcome", fail)
    assert await happens(here, REQUIRE + "discard;") == [0]


async def test_a_server_that_stops_begins_no_further_run(here: Relay) -> None:
    events = events_of(here)
    events.stop()
    assert await happens(here, REQUIRE + "discard;", events) == [0]
