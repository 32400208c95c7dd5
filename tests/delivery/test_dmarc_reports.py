"""What was seen of mail in the name of others is reported to those who ask, and to nobody whom they name against his will."""

import dataclasses

from mailstack.delivery.dmarc_reports import DmarcReports
from mailstack.delivery.report_mail import reports_in
from mailstack.delivery.reporter import Reporter
from mailstack.mailauth.dmarc_report import DmarcReport
from mailstack.mailauth.results import Authentication, Dkim, Dmarc, Result, Spf
from mailstack.message.address import Address
from mailstack.policy.dmarc import Pass, Quarantine
from mailstack.policy.origin import _sighting
from mailstack.policy.transaction import Transaction
from mailstack.store import sightings as limits
from mailstack.store.sightings import Sighting, Sightings
from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer, until
from tests.support.relay import Relay

ONE = Sighting(
    "c.test", "news.c.test", "192.0.2.7", "none", "pass", "fail", "x.test", "c.test s1 pass\nx.test s fail", "x.test fail"
)
TWO = dataclasses.replace(ONE, source="2001:db8::1", disposition="reject", dkim="fail", signatures="", reason="a <b> & c\x07")


async def sender() -> Address | None:
    return Address("postmaster", "a.test")


def reporter(relay: Relay) -> DmarcReports:
    seen = Sightings(relay.data.transport)
    more = Reporter(relay.resolver, relay.acceptor.submit, sender, "mail.a.test", relay.clock, relay.random)
    return DmarcReports(seen, more)


async def test_a_day_is_reported_once(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("_dmarc.c.test", TXT=['"v=DMARC1; p=reject; sp=none; adkim=s; rua=mailto:dmarc@c.test!10m,https://c.test/"'])
    reports = reporter(relay)
    for sighting, count in ((ONE, 3), (TWO, 1)):
        for _ in range(count):
            reports.sightings.note(sighting, relay.clock())
    reports.sightings.note(dataclasses.replace(ONE, domain="nothing.test"), relay.clock())
    assert await reports.send() == 0  # the day is not over
    relay.clock.now += 86400
    assert await reports.send() == 1
    await until(lambda: len(peer.messages) == 1)
    assert peer.messages[0].to == ["dmarc@c.test"]
    (report,) = reports_in(peer.messages[0].data)
    assert isinstance(report, DmarcReport)
    assert (report.organisation, report.domain, report.policy) == ("mail.a.test", "c.test", "reject")
    assert report.end - report.start == 86399
    first, second = report.rows
    assert (first.source, first.count, first.dkim, first.spf, first.header_from) == (
        "192.0.2.7",
        3,
        "pass",
        "fail",
        "news.c.test",
    )
    assert first.signers == ("c.test/s1 pass", "x.test/s fail")
    assert (second.source, second.disposition, second.signers) == ("2001:db8::1", "reject", ())
    assert second.reason == "local_policy a <b> & c?"
    assert await reports.send() == 0


async def test_nobody_gets_reports_whom_others_name(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("_dmarc.c.test", TXT=['"v=DMARC1; p=none; rua=mailto:victim@b.test,mailto:dmarc@sub.c.test"'])
    dns.add("sub.c.test", MX=["10 mail.c.test."])
    reports = reporter(relay)
    for _ in range(2):
        reports.sightings.note(ONE, relay.clock())
        relay.clock.now += 86400
        await reports.send()
        dns.add("c.test._report._dmarc.b.test", TXT=['"v=DMARC1;"'])
        relay.resolver.use([f"127.0.0.1:{dns.port}"])
    await until(lambda: len(peer.messages) == 3)
    assert sorted(message.to[0] for message in peer.messages) == ["dmarc@sub.c.test", "dmarc@sub.c.test", "victim@b.test"]


async def test_a_flood_costs_no_memory(relay: Relay) -> None:
    seen = Sightings(relay.data.transport)
    for number in range(limits.SIGHTINGS + 5):
        seen.note(dataclasses.replace(ONE, domain=f"{number}.test"), relay.clock())
    assert len(seen._waiting) == limits.SIGHTINGS


def test_what_a_message_counts_as() -> None:
    transaction = Transaction("id", "192.0.2.7", "x", "ESMTP", None, None, 0.0, Address("bob", "x.test"))
    found = Authentication(
        spf=Spf(Result.FAIL, "x.test"),
        dkim=(Dkim(Result.PASS, "c.test", "s1"), Dkim(Result.FAIL, "x.test", ""), Dkim(Result.FAIL, "x.test", "s")),
        dmarc=Dmarc(Result.PASS, "news.c.test", "c.test", dkim_aligned=True),
    )
    assert _sighting(transaction, found, Pass()) == ONE
    assert _sighting(transaction, found, Quarantine("x")).disposition == "quarantine"
