"""Aliases as mailing lists: who may write, what members get, where bounces go, and that nothing goes round."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.message.address import parse_address
from mailstack.message.header import every, first, split_header
from mailstack.policy.inbound import Recipients
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept, Reject
from mailstack.store.users.mailings import Mailing, Posting
from mailstack.wire.smtp import MailParameters
from tests.delivery.test_accept import BODY, TRACE, accept
from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer, Script, until
from tests.support.relay import Relay

LIST = Mailing("friends@a.test", Posting.MEMBERS, name="Our friends", owner="alice@a.test")


@pytest.fixture
async def here(tmp_path: Path, dns: DnsServer, peer: Peer) -> AsyncIterator[Relay]:
    async with Relay(tmp_path, dns, peer) as relay:
        await relay.add("bob@a.test")
        await relay.data.directory.add_alias("friends@a.test", ["bob@a.test", "x@b.test", "far@far.test"])
        await relay.data.directory.set_mailing(LIST)
        yield relay


async def judged(relay: Relay, sender: str | None, account: str | None = None, to: str = "friends@a.test") -> bool:
    recipients = Recipients(relay.router, relay.data.directory, relay.data.mailboxes, 100)
    record = await relay.data.directory.account(account) if account else None
    transaction = Transaction(
        id="x", peer="127.0.0.1", helo="x", protocol="ESMTP", tls=None, account=record, received=relay.clock(),
        sender=parse_address(sender) if sender else None, parameters=MailParameters(),
    )  # fmt: skip
    verdict, _ = await recipients.judge(transaction, parse_address(to))
    if isinstance(verdict, Reject):
        assert (verdict.reply.code, verdict.reason) == (550, "list")
    return isinstance(verdict, Accept)


WHO = [
    (Posting.MEMBERS, "far@far.test", None, True),
    (Posting.MEMBERS, "Far@far.test", None, True),
    (Posting.MEMBERS, "other@far.test", None, False),
    (Posting.MEMBERS, "bob@a.test", None, False),  # who is from here logs in
    (Posting.MEMBERS, "bob@a.test", "bob@a.test", True),
    (Posting.MEMBERS, "alice@a.test", "alice@a.test", False),
    (Posting.MEMBERS, None, None, False),
    (Posting.DOMAIN, "alice@a.test", "alice@a.test", True),
    (Posting.DOMAIN, "alice@a.test", None, False),
    (Posting.DOMAIN, "far@far.test", None, False),
    (Posting.NAMED, "far@far.test", None, False),
    (Posting.NAMED, "chief@b.test", None, True),
    (Posting.ANYONE, "other@far.test", None, True),
    (Posting.ANYONE, None, None, False),
]


async def test_who_may_write(here: Relay) -> None:
    for posting, sender, account, may in WHO:
        await here.data.directory.set_mailing(Mailing("friends@a.test", posting, frozenset({"chief@b.test"})))
        assert await judged(here, sender, account) is may, (posting, sender, account)


async def test_members_get_it_with_fields_and_bounces_go_to_the_owner(here: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("far.test", MX=["10 mail.b.test."])
    peer.play(Script({"RCPT TO:<x@": "550 5.1.1 nobody"}))
    assert (await accept(here, "friends@a.test")).positive
    await until(lambda: not here.queue.messages)
    (copy,) = await here.inbox("bob@a.test")
    header, body = split_header(copy)
    assert first(header, b"return-path") == b"<friends+bounces@a.test>"
    assert first(header, b"list-id") == b'"Our friends" <friends.a.test>'
    assert first(header, b"list-post") == b"<mailto:friends@a.test>"
    assert first(header, b"list-owner") == b"<mailto:friends+owner@a.test>"
    assert copy.endswith(TRACE + BODY)
    assert body == b"body\r\n"
    (message,) = peer.messages
    assert (message.mail.split()[1], message.to) == ("FROM:<friends+bounces@a.test>", ["far@far.test"])
    (notice,) = await here.inbox("alice@a.test")
    assert b"x@b.test" in notice


async def test_a_member_that_is_a_list_and_a_ring(here: Relay) -> None:
    await here.data.directory.add_alias("all@a.test", ["friends@a.test", "alice@a.test"])
    await here.data.directory.set_mailing(Mailing("all@a.test", Posting.ANYONE))
    await here.data.directory.add_alias("friends@a.test", ["all@a.test"])
    await here.data.directory.remove_alias("friends@a.test", "x@b.test")
    await here.data.directory.remove_alias("friends@a.test", "far@far.test")
    assert (await accept(here, "all@a.test", sender="stranger@c.test")).positive
    await until(lambda: not here.queue.messages)
    (copy,) = await here.inbox("bob@a.test")
    assert len(every(split_header(copy)[0], b"list-id")) == 2
    assert len(await here.inbox("alice@a.test")) == 1


async def test_what_a_list_sent_on_before_is_refused(here: Relay) -> None:
    from tests.delivery.test_rule_actions import take

    reply = await take(here, "friends@a.test", body=b"List-Id: x <friends.a.test>\r\n" + BODY)
    assert (reply.code, reply.enhanced) == (554, "5.4.6")


async def test_a_rule_cannot_bring_in_who_may_not_write(here: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("c.test", MX=["10 mail.b.test."])
    await here.data.scripts.put("a.test/alice", "main", b'redirect "friends@a.test";')
    await here.data.scripts.activate("a.test/alice", "main")
    assert (await accept(here, "alice@a.test", sender="stranger@c.test")).positive
    await until(lambda: not here.queue.messages)
    assert await here.inbox("bob@a.test") == []
    assert [message.to for message in peer.messages] == [["stranger@c.test"]]
    assert b"you may not write to friends@a.test" in peer.messages[0].data


async def test_plain_again(here: Relay) -> None:
    await here.data.directory.unset_mailing("friends@a.test")
    assert await judged(here, "anybody@far.test")
    assert (await accept(here, "friends@a.test")).positive
    assert len(await here.inbox("bob@a.test")) == 1
    await here.data.directory.set_mailing(LIST)
    await here.data.directory.remove_alias("friends@a.test")
    assert await here.data.directory.mailings() == {}
