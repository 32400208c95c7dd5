"""What a message itself says of TLS: never without proof (REQUIRETLS), or rather in the clear than not at all (RFC 8689)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from mailstack.delivery.taking import envelope_of
from mailstack.message.envelope import TlsWish
from mailstack.policy.transaction import Transaction
from mailstack.policy.transport import Level, PolicyKind, decide
from mailstack.store.content import Content
from mailstack.wire.mta_sts import Mode, StsPolicy
from mailstack.wire.smtp import MailParameters
from tests.delivery.test_mta_sts import context, trusting
from tests.support.dnsserver import DnsServer
from tests.support.peer import EXTENSIONS, Peer, Script
from tests.support.relay import Relay, outcome

NEEDS = (*EXTENSIONS, "REQUIRETLS")


@pytest.fixture
async def relay(tmp_path: Path, dns: DnsServer, peer: Peer, authority: trustme.CA) -> AsyncIterator[Relay]:
    dns.signed |= {"b.test", "mail.b.test"}
    async with Relay(tmp_path, dns, peer, dnssec=True, verified=trusting(authority)) as one:
        yield one


async def test_a_proved_host_that_does_the_same_gets_it(relay: Relay, peer: Peer, authority: trustme.CA) -> None:
    peer.play(Script(extensions=NEEDS, tls=context(authority, "mail.b.test")))
    assert await relay.settled(await relay.send("bob@b.test", tls=TlsWish.REQUIRED)) is None
    (message,) = peer.messages
    assert " REQUIRETLS" in message.mail
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert len(peer.sessions) == 2  # others go by a connection of their own
    assert " REQUIRETLS" not in peer.messages[1].mail


async def test_a_host_that_does_not_know_it_gets_nothing_and_no_words_come_back(
    relay: Relay, peer: Peer, authority: trustme.CA
) -> None:
    peer.play(Script(tls=context(authority, "mail.b.test")))
    assert await relay.settled(await relay.send("bob@b.test", tls=TlsWish.REQUIRED)) is None
    (notice,) = await relay.notices()
    assert b"Status: 5.7.30" in notice
    assert b"body" not in notice.partition(b"text/rfc822-headers")[2]
    assert peer.messages == []


async def test_no_proof_no_mail(relay: Relay, peer: Peer, dns: DnsServer, authority: trustme.CA) -> None:
    peer.play(Script(extensions=NEEDS, tls=context(trustme.CA(), "mail.b.test"), only=1))
    id = await relay.send("bob@b.test", tls=TlsWish.REQUIRED)
    assert "REQUIRETLS asks for it" in await outcome(relay, id)
    peer.play(Script(extensions=NEEDS, tls=context(authority, "mail.b.test"), only=1))
    dns.signed.clear()
    relay.resolver.use([f"127.0.0.1:{dns.port}"], dnssec=True)
    assert await relay.again(id) is not None
    assert "neither DNSSEC nor MTA-STS" in relay.queue.messages[id].states[0].reply
    assert peer.messages == []


def test_what_a_message_says() -> None:
    def wish(text: bytes, *, require_tls: bool = False) -> TlsWish:
        transaction = Transaction("id", "192.0.2.1", "x", "ESMTPS", "TLSv1.3", None, 0.0)
        transaction.parameters = MailParameters(require_tls=require_tls)
        return envelope_of(transaction, Content.of(text)).tls

    assert wish(b"Subject: x\r\n\r\nTLS-Required: No\r\n") is TlsWish.POLICY
    assert wish(b"tls-required: NO\r\n\r\n") is TlsWish.OPTIONAL
    assert wish(b"TLS-Required: yes\r\n\r\n") is TlsWish.POLICY
    assert wish(b"TLS-Required: No\r\n\r\n", require_tls=True) is TlsWish.REQUIRED


def test_decisions() -> None:
    sts = StsPolicy(Mode.TESTING, ("mail.b.test",), 60)
    required = decide("mail.b.test", sts=sts, wish=TlsWish.REQUIRED)
    assert (required.kind, required.least, required.refusal) == (PolicyKind.STS, Level.NAMED, None)
    assert decide("x.test", sts=sts, wish=TlsWish.REQUIRED).refusal is not None
    enforced = StsPolicy(Mode.ENFORCE, ("x.test",), 60)
    assert decide("mail.b.test", sts=enforced, wish=TlsWish.OPTIONAL).least is Level.CLEAR
