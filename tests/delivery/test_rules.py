"""Users' scripts over messages that come in, with the real store and queue."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.message.header import every, first, split_header
from mailstack.sieve.problem import SieveProblem
from mailstack.store.errors import StoreFailed, TooManyMailboxes
from tests.delivery.test_accept import BODY, TRACE, accept
from tests.delivery.test_plan import JUNK, account_of, stored
from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer, until
from tests.support.relay import Relay


@pytest.fixture
async def here(tmp_path: Path, dns: DnsServer, peer: Peer) -> AsyncIterator[Relay]:
    dns.add("far.test", MX=["10 mail.b.test."])
    async with Relay(tmp_path, dns, peer) as relay:
        await relay.add("bob@a.test")
        yield relay


async def use(relay: Relay, script: str, account: str = "alice", name: str = "main") -> None:
    await relay.data.scripts.put(f"a.test/{account}", name, script.encode())
    await relay.data.scripts.activate(f"a.test/{account}", name)


async def rules(relay: Relay, address: str = "alice@a.test") -> list[str]:
    return [event["action"] for event in await relay.data.trace.find(address) if event["event"] == "rule"]


async def test_fileinto_where_it_is_where_it_is_made_and_where_it_is_not(here: Relay) -> None:
    await use(here, 'require ["fileinto"]; fileinto "Archive";')
    assert (await accept(here, "alice@a.test", "bob@a.test")).positive
    assert await stored(here, "Archive") == [b"Return-Path: <far@far.test>\r\n" + TRACE + BODY]
    assert len(await here.inbox("bob@a.test")) == 1
    await use(here, 'require ["fileinto"]; fileinto "New/Ö";')
    assert (await accept(here, "alice@a.test")).positive
    assert len(await here.inbox()) == 1
    assert set(await rules(here)) == {"fileinto Archive", "fileinto New/Ö"}
    await here.data.scripts.activate("a.test/alice", None)
    assert (await accept(here, "alice@a.test")).positive
    assert len(await here.inbox()) == 2


async def test_a_changed_script_is_used_at_once_and_a_restart_knows_it(here: Relay) -> None:
    assert (await accept(here, "alice@a.test")).positive
    await use(here, "discard;")
    assert (await accept(here, "alice@a.test")).positive
    await use(here, "keep;")
    assert (await accept(here, "alice@a.test")).positive
    assert len(await here.inbox()) == 2
    await use(here, "discard;")
    here.data.scripts.forget()
    assert (await accept(here, "alice@a.test")).positive
    assert len(await here.inbox()) == 2


async def test_out_of_the_queue_the_same_rules_hold(here: Relay) -> None:
    await use(here, 'require ["fileinto"]; fileinto "Archive";')
    await here.send("alice@a.test", sender="far@far.test", account=None)
    await until(lambda: not here.queue.messages)
    assert len(await stored(here, "Archive")) == 1


async def test_redirects_end_when_they_go_round(here: Relay, peer: Peer) -> None:
    await use(here, 'redirect "bob@a.test";')
    await use(here, 'redirect "alice@a.test";', "bob")
    assert (await accept(here, "alice@a.test")).positive
    await until(lambda: not here.queue.messages)
    (found,) = await here.inbox()
    assert every(split_header(found)[0], b"x-sieve-redirected-from") == [b"bob@a.test", b"alice@a.test"]
    assert await here.inbox("bob@a.test") == []
    # To oneself: it comes once.
    await use(here, 'redirect "alice@a.test";')
    assert (await accept(here, "alice@a.test")).positive
    await until(lambda: not here.queue.messages)
    assert len(await here.inbox()) == 2


async def test_a_script_that_does_not_compile_is_not_taken(here: Relay) -> None:
    for script in ("keep", "\xff", "include", 'require "nothing";'):
        with pytest.raises(SieveProblem):
            await here.data.scripts.put("a.test/alice", "main", script.encode("latin-1"))
    assert await here.data.scripts.listing("a.test/alice") == {}


async def test_an_active_script_that_fails_keeps_the_message_and_tells_its_owner_once_a_day(here: Relay) -> None:
    await use(here, "discard;")
    # By hand, past all checks.
    (here.data.path / "mail/a.test/alice/sieve/main.sieve").write_text("\n\nfileinto 7;")
    here.data.scripts.forget()
    for _ in range(3):
        assert (await accept(here, "alice@a.test")).positive
        await until(lambda: not here.queue.messages)
    found = await here.inbox()
    assert len(found) == 4
    (notice,) = [one for one in found if b"Sieve script" in one]
    assert b"line 3" in notice
    assert first(split_header(notice)[0], b"auto-submitted") == b"auto-generated"
    here.clock.now += 90_000
    assert (await accept(here, "alice@a.test")).positive
    await until(lambda: not here.queue.messages)
    assert len(await here.inbox()) == 6
    assert any(action.startswith("failed: ") for action in await rules(here))


async def test_a_script_that_cannot_be_read_costs_no_message(here: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    await use(here, "discard;")
    here.data.scripts.forget()

    def fail(*_: object) -> None:
        raise StoreFailed("broken")

    monkeypatch.setattr(here.data.scripts, "_load_active", fail)
    assert (await accept(here, "alice@a.test")).positive
    assert len(await here.inbox()) == 1


async def test_a_bug_in_a_rule_costs_no_message(here: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    await use(here, "discard;")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr("mailstack.delivery.rules.run", fail)
    assert (await accept(here, "alice@a.test")).positive
    assert len(await here.inbox()) == 1


async def test_junk_is_not_sorted_by_scripts_that_do_not_ask_for_it(here: Relay) -> None:
    await use(here, 'redirect "x@b.test";')
    assert (await accept(here, "alice@a.test", judgements={"alice@a.test": JUNK})).positive
    assert len(await stored(here, "Junk")) == 1
    assert not here.queue.messages


async def test_a_script_removed_account_and_all(here: Relay) -> None:
    """What an account's scripts remember goes with it."""
    await here.data.memories.remember("bob@a.test", [(("a",), 60.0), (("b",), 1.0)])
    assert await here.data.memories.age("bob@a.test", ("a",)) == 0.0
    assert await here.data.memories.age("alice@a.test", ("a",)) is None
    here.clock.now += 2
    assert await here.data.memories.age("bob@a.test", ("a",)) == 2.0
    assert await here.data.memories.age("bob@a.test", ("b",)) is None
    await here.data.directory.remove_account("bob@a.test")
    assert await here.data.memories.age("bob@a.test", ("a",)) is None


async def test_several_accounts_with_rules_of_their_own(here: Relay, peer: Peer) -> None:
    account = await account_of(here)
    await account.create("Copies")
    await use(here, 'require ["fileinto", "copy"]; fileinto :copy "Copies"; redirect :copy "x@b.test";')
    await use(here, "discard;", "bob")
    assert (await accept(here, "alice@a.test", "bob@a.test")).positive
    assert len(await stored(here, "Copies")) == len(await here.inbox()) == 1
    assert await here.inbox("bob@a.test") == []
    await until(lambda: len(peer.messages) == 1)
    assert peer.messages[0].to == ["x@b.test"]


async def test_lists_are_asked(here: Relay, tmp_path: Path) -> None:
    (tmp_path / "data" / "sieve").mkdir(exist_ok=True)
    (tmp_path / "data" / "sieve" / "friends.list").write_text("@far.test\n")
    require = 'require ["extlists", "envelope", "fileinto"];'
    await use(here, require + 'if envelope :list "from" ["others", "friends"] { fileinto "Archive"; }')
    assert (await accept(here, "alice@a.test")).positive
    (tmp_path / "data" / "mail" / "a.test" / "alice" / "sieve" / "friends.list").write_text("somebody@else.test\n")
    assert (await accept(here, "alice@a.test")).positive
    assert len(await stored(here, "Archive")) == 1
    assert len(await here.inbox()) == 1


async def test_strangers_do_not_make_mailboxes_without_end(here: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses with a tag into mailboxes of that name: a recipe that many have."""
    account = await account_of(here)
    monkeypatch.setattr("mailstack.store.mailbox.tree.MOST", len(account.names()) + 3)
    await use(
        here,
        'require ["fileinto", "mailbox", "envelope", "subaddress", "variables"];'
        'if envelope :detail :matches "to" "*" { fileinto :create "${1}"; }',
    )
    for number in range(5):
        assert (await accept(here, f"alice+tag{number}@a.test")).positive
    assert [name for name in account.names() if name.startswith("tag")] == ["tag0", "tag1", "tag2"]
    assert len(await here.inbox()) == 2
    with pytest.raises(TooManyMailboxes):
        await account.create("one-more")
