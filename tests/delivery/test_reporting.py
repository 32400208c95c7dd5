"""Reports of TLS leave once, to those who ask; reports that come are read beside their delivery."""

from pathlib import Path

import pytest

from mailstack.control.reports import ReportOperations
from mailstack.delivery.report_mail import ReportMail, reports_in
from mailstack.delivery.tls_reports import TlsReports
from mailstack.message.address import Address
from mailstack.message.envelope import Envelope, Recipient, TlsWish
from mailstack.store.content import Content
from mailstack.store.reports import ReportStore
from mailstack.wire.tlsrpt import TlsReport, report_mail
from tests.support.dnsserver import DnsServer
from tests.support.peer import Act, Peer, Script, until
from tests.support.relay import Relay
from tests.wire.test_reports import DMARC, TLS


async def ours() -> set[str]:
    return {"a.test", "b.test"}


async def sender() -> Address | None:
    return Address("postmaster", "a.test")


@pytest.fixture
async def reports(relay: Relay) -> TlsReports:
    return TlsReports(
        relay.data.transport, relay.resolver, relay.acceptor.submit, sender, "mail.a.test", relay.clock, relay.random
    )


async def test_a_day_is_reported_once_to_those_who_ask(relay: Relay, reports: TlsReports, peer: Peer, dns: DnsServer) -> None:
    dns.add("_smtp._tls.b.test", TXT=['"v=TLSRPTv1; rua=mailto:tls@c.test,https://c.test/"'])
    answers: dict[str, str | Act] = {"STARTTLS": "454 4.7.0 no"}
    peer.play(Script(answers, only=1))
    for address in ("bob@b.test", "carol@c.test"):
        await relay.settled(await relay.send(address))
    assert await reports.send() == 0  # the day is not over
    relay.clock.now += 86400
    assert await reports.send() == 1
    await until(lambda: len(peer.messages) == 3 and not relay.queue.messages)
    message = peer.messages[2]
    assert message.to == ["tls@c.test"]
    assert message.mail.startswith("MAIL FROM:<>")
    (report,) = reports_in(message.data)
    assert isinstance(report, TlsReport)
    assert report.end - report.start == 86399
    (policy,) = report.policies
    assert (policy.domain, policy.kind, policy.successes, policy.failed) == ("b.test", "no-policy-found", 0, 1)
    assert policy.failures[0].result == "starttls-not-supported"
    assert await reports.send() == 0
    relay.clock.now += 5 * 86400
    assert await reports.send() == 0


async def test_a_report_of_broken_tls_is_not_stopped_by_it(relay: Relay, peer: Peer) -> None:
    relay.policies.keeps = True
    peer.play(Script(only=1))
    assert await relay.settled(await relay.send("bob@b.test", own=True, tls=TlsWish.OPTIONAL)) is None
    assert await relay.settled(await relay.send("bob@b.test", tls=TlsWish.REQUIRED)) is not None
    assert len(peer.messages) == 1


async def test_reports_that_come_are_kept_by_domain_and_source(tmp_path: Path, relay: Relay) -> None:
    store = ReportStore(tmp_path / "reports.sqlite3")
    mail = ReportMail(store, relay.data.trace, ours, "mail.a.test", relay.clock)
    table = ReportOperations(store, mail, relay.clock).table()
    relay.clock.now = TLS.end + 10
    proved = b"Authentication-Results: mail.a.test; dmarc=pass header.from=x.test\r\n"
    text = report_mail(TLS, "b.test", "x.test", "tls@x.test", ["postmaster@a.test"], 1.0)
    assert await mail.take("id", proved + text) == 1
    assert await mail.take("id", proved + text) == 0
    rows = await table["reports.summary"]({"kind": "tls"})
    assert [(row["source"], row["result"], row["count"], row["good"], row["proved"]) for row in rows] == [
        ("", "sts: success", 5326, 5326, 1),
        ("mx2.b.test", "sts: starttls-not-supported", 203, 0, 1),
        ("mx1.b.test", "sts: certificate-expired", 100, 0, 1),
        ("", "no-policy-found: success", 7, 7, 1),
    ]
    relay.clock.now = 1335657600.0
    assert await mail.take("id", DMARC) == 1
    rows = await table["reports.summary"]({"kind": "dmarc", "domain": "a.test"})
    assert [(row["source"], row["count"], row["good"], row["reporters"], row["proved"]) for row in rows] == [
        ("192.0.2.7", 12, 0, "acme.test", 0),
        ("2001:db8::1", 2, 2, "acme.test", 0),
    ]
    assert len(await table["reports.list"]({})) == 2
    assert (
        await mail.take("id", DMARC.replace(b"a.test", b"evil.test").replace(b"A.test", b"x.test").replace(b"939", b"1")) == 0
    )
    await store.close()


async def test_only_what_says_that_it_is_a_report_is_looked_at(tmp_path: Path, relay: Relay, peer: Peer) -> None:
    store = ReportStore(tmp_path / "reports.sqlite3")
    mail = ReportMail(store, relay.data.trace, ours, "mail.a.test", relay.clock)
    relay.clock.now = TLS.end + 10
    text = report_mail(TLS, "b.test", "x.test", "tls@x.test", ["postmaster@a.test"], 1.0)
    for local, data in (
        ("alice", text),
        ("postmaster", b"Subject: hello\r\n\r\n<xml/>"),
        ("postmaster", text[:-500]),
        ("postmaster", text),
    ):
        envelope = Envelope("id", None, (Recipient(Address(local, "a.test")),), 0.0)
        await mail.look(envelope, Content.of(data), b"")
    await until(lambda: mail._task is not None and mail._task.done())
    assert len(await store.listing(0.0)) == 1
    await mail.stop()
    await store.close()
