"""What will fail its own DMARC is told of before it leaves."""

import asyncio

import pytest

from mailstack.delivery.signing import make_keys
from mailstack.mailauth.dkim import dns_record
from mailstack.mailauth.dmarc import Found
from mailstack.mailauth.dmarc_record import parse_record
from mailstack.mailauth.results import Request
from mailstack.message.address import parse_address
from mailstack.message.envelope import Envelope, Recipient, TlsWish
from mailstack.policy.alignment import AuthorPolicy, Standing, aligned, author_policy, check
from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer, until
from tests.support.relay import Relay, outcome

STRICT = AuthorPolicy(Request.REJECT, strict_dkim=True, strict_spf=True)
PLAIN = AuthorPolicy()


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing("a.test", "a.test", True, "x.test", False, STRICT), None),
        (Standing("a.test", "a.test", None, "x.test", False, STRICT), None),
        (Standing("sub.a.test", "a.test", True, "x.test", None, PLAIN), None),
        (Standing("sub.a.test", "a.test", True, "sub.a.test", True, STRICT), None),
        (Standing("sub.a.test", "a.test", True, "x.test", True, STRICT), "asks for its own (adkim=s)"),
        (Standing("a.test", None, None, "a.test", True, PLAIN), None),
        (Standing("a.test", None, None, "a.test", False, PLAIN), "no DKIM key signs for a.test"),
        (Standing("a.test", "a.test", False, "b.test", True, STRICT), "is not in the DNS"),
        (Standing("a.test", "a.test", False, "m.a.test", True, STRICT), "sender is of m.a.test"),
        (Standing("a.test", "a.test", False, "a.test", None, STRICT), None),
    ],
)
def test_what_will_fail(standing: Standing, words: str | None) -> None:
    found = check(standing)
    assert (found is None) == (words is None)
    if found is not None and words is not None:
        assert words in found.reason
        assert found.obeyed == (standing.policy.request is Request.REJECT)


def test_alignment() -> None:
    assert aligned("a.test", "a.test", strict=True)
    assert aligned("a.test", "x.y.a.test", strict=False)
    assert not aligned("a.test", "x.a.test", strict=True)
    assert not aligned("a.test", "ba.test", strict=False)
    assert not aligned("test", "a.test", strict=False)


@pytest.mark.parametrize(
    ("author", "records", "wanted"),
    [
        ("a.test", {}, AuthorPolicy()),
        ("a.test", {"a.test": "v=DMARC1; p=Reject; adkim=s;aspf = s ; pct=x"}, STRICT),
        ("a.test", {"a.test": "v=DMARC1; p=reject; t=y"}, AuthorPolicy(Request.QUARANTINE)),
        ("x.a.test", {"a.test": "v=DMARC1; p=none; sp=reject"}, AuthorPolicy(Request.REJECT)),
        ("x.a.test", {"x.a.test": "v=DMARC1; p=none", "a.test": "v=DMARC1; p=reject"}, AuthorPolicy()),
    ],
)
def test_what_the_author_asks_for(author: str, records: dict[str, str], wanted: AuthorPolicy) -> None:
    found = tuple((name, record) for name, text in records.items() if (record := parse_record(text)) is not None)
    assert author_policy(Found(author, found), lambda name: "." not in name) == wanted
    assert author_policy(Found(author, found, trouble=True), lambda name: "." not in name) == AuthorPolicy()


async def test_a_message_that_will_fail_leaves_and_is_told_of(relay: Relay, peer: Peer) -> None:
    id = await relay.send("bob@b.test")
    assert await relay.settled(id) is None
    await until(lambda: not relay.outgoing._judging)
    (event,) = [one for one in await relay.data.trace.find(id) if one["event"] == "unaligned"]
    assert "no DKIM key signs for a.test" in event["reason"]
    assert "a.test has no SPF record" in event["reason"]
    assert event["waits"] is False


async def test_it_waits_where_that_is_wanted_and_its_own_domain_asks_for_harm(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("_dmarc.a.test", TXT=['"v=DMARC1; p=reject"'])
    relay.outgoing.defers = True
    id = await relay.send("bob@b.test")
    assert (await outcome(relay, id)).startswith("451 4.7.22 this will fail DMARC, because no DKIM key")
    assert peer.messages == []
    key = make_keys(relay.data.path / "dkim", "a.test", "2026")[0]
    dns.add(f"{key.selector}._domainkey.a.test", TXT=[f'"{dns_record(key)}"'])
    relay.signer.forget()
    relay.alignment.forget()
    assert await relay.again(id) is None
    assert len(peer.messages) == 1


async def test_what_others_wrote_is_not_judged(relay: Relay, peer: Peer) -> None:
    id = await relay.send("bob@b.test", account=None)
    assert await relay.settled(id) is None
    assert not [one for one in await relay.data.trace.find(id) if one["event"] == "unaligned"]


async def test_a_notice_of_this_host_is_signed_in_its_name(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    make_keys(relay.data.path / "dkim", "a.test", "2026")
    text = b"From: Mail Delivery System <MAILER-DAEMON@mail.a.test>\r\nSubject: x\r\n\r\nnot delivered\r\n"
    for own in (True, False):
        await relay.settled(await relay.send("bob@b.test", text=text, sender=None, account=None, own=own))
    signed, foreign = [message.data for message in peer.messages]
    assert b"d=a.test" in signed
    assert foreign == text


async def test_what_a_message_is_outlives_a_restart(relay: Relay, peer: Peer) -> None:
    from mailstack.store.queue.queue import read_envelope

    relay.queue.on_queued = None
    id = await relay.send("bob@b.test", account=None, own=True, forwarded=True, tls=TlsWish.REQUIRED)
    envelope, _ = read_envelope(relay.queue.folder / id)
    assert (envelope.own, envelope.forwarded, envelope.tls) == (True, True, TlsWish.REQUIRED)


async def test_mail_of_one_domain_that_waits_together_asks_once(
    relay: Relay, dns: DnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    answer = dns.answer
    monkeypatch.setattr(dns, "answer", lambda data: asked.append(data) or answer(data))
    sender = parse_address("alice@a.test")
    envelope = Envelope("x", sender, (Recipient(parse_address("bob@b.test")),), 0.0, account="alice@a.test")
    header = b"From: alice@a.test\r\n\r\n"
    found = await asyncio.gather(*(relay.alignment.judge(envelope, header, None) for _ in range(20)))
    assert len({one.reason for one in found if one is not None}) == 1
    assert sum(b"\x06_dmarc\x01a\x04test" in data for data in asked) == 1
