"""Reports of TLS leave once, to those who ask; reports that come are read beside their delivery."""

import asyncio
import gzip
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from mailstack.control.reports import ReportOperations
from mailstack.delivery.report_mail import ReportMail, reports_in
from mailstack.delivery.reporter import Reporter
from mailstack.delivery.tls_posting import ReportPoster, is_public
from mailstack.delivery.tls_reports import TlsReports
from mailstack.message.address import Address
from mailstack.message.envelope import Envelope, Recipient, TlsWish
from mailstack.message.unpack import unpack
from mailstack.net.tls import client_context
from mailstack.store.content import Content
from mailstack.store.reports import ReportStore
from mailstack.web import tls_reports
from mailstack.web.server import WebServer
from mailstack.web.site import build
from mailstack.web.tls_reports import TlsReportsTaken
from mailstack.wire.tlsrpt import TlsReport, packed, parse_report, report_mail
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
        relay.data.transport,
        Reporter(relay.resolver, relay.acceptor.submit, sender, "mail.a.test", relay.clock, relay.random),
        ReportPoster(relay.resolver, client_context(verify=False), lambda address: address == "127.0.0.1"),
    )  # fmt: skip


async def test_a_day_is_reported_once_to_those_who_ask(relay: Relay, reports: TlsReports, peer: Peer, dns: DnsServer) -> None:
    dns.add("_smtp._tls.b.test", TXT=['"v=TLSRPTv1; rua=mailto:tls@c.test,https://nowhere.test/"'])
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


class Receiver:
    """A web server that answers what it is told, and keeps what came; TLS with a certificate of nobody's."""

    def __init__(self, authority: trustme.CA) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("reports.test").configure_cert(self.context)
        self.status = "201 Created"
        self.taken: list[tuple[bytes, bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        self.taken.append((head, await reader.readexactly(length)))
        writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()


async def test_a_report_by_https_is_tried_again_for_a_day(
    relay: Relay, reports: TlsReports, peer: Peer, dns: DnsServer, authority: trustme.CA
) -> None:
    receiver = Receiver(authority)
    receiver.status = "503 Not now"
    async with await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=receiver.context) as server:
        port = server.sockets[0].getsockname()[1]
        dns.add("reports.test", A=["127.0.0.1"])
        url = f"https://reports.test:{port}/in?x=1"
        dns.add("_smtp._tls.b.test", TXT=[f'"v=TLSRPTv1; rua={url},mailto:tls@c.test"'])
        await relay.settled(await relay.send("bob@b.test"))
        relay.clock.now = (relay.clock.now // 86400 + 1) * 86400.0 + 60
        assert await reports.send() == 0
        receiver.status = "201 Created"
        assert await reports.send() == 1
        assert await reports.send() == 0
    (head, first), (_, second) = receiver.taken
    assert first == second
    assert head.startswith(b"POST /in?x=1 HTTP/1.1\r\n")
    assert b"Content-Type: application/tlsrpt+gzip\r\n" in head
    assert parse_report(unpack(first)).policies[0].domain == "b.test"
    # By mail it leaves once, with the same id.
    await until(lambda: not relay.queue.messages)
    (mail,) = [message for message in peer.messages if message.to == ["tls@c.test"]]
    (report,) = reports_in(mail.data)
    assert report.id == parse_report(unpack(first)).id


def test_only_what_everybody_can_reach_is_told() -> None:
    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "::1", "fe80::1", "fd00::1", "0.0.0.0"):
        assert not is_public(address)
    assert is_public("8.8.8.8")


async def test_reports_are_taken_by_https(tmp_path: Path, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_reports, "AN_HOUR", 12)
    store = ReportStore(tmp_path / "reports.sqlite3")
    mail = ReportMail(store, relay.data.trace, ours, "mail.a.test", relay.clock)
    relay.clock.now = TLS.end + 10
    on = True
    part = TlsReportsTaken(lambda: mail.take_posted if on else None, relay.clock)
    web = WebServer(build(part.routes()))
    with socket.create_server(("127.0.0.1", 0)) as one:
        await web.listen([one], None)
        port = one.getsockname()[1]

        async def post(body: bytes, kind: str = "application/tlsrpt+gzip", method: str = "POST") -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            fields = f"Host: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close"
            writer.write(f"{method} /tlsrpt HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body)
            answer = await reader.readline()
            writer.close()
            return int(answer.split()[1])

        good = packed(TLS)
        assert await post(good) == 201
        assert await post(good) == 201  # known, and no mistake
        assert len(await store.listing(0.0)) == 1
        assert (await store.listing(0.0))[0]["proved"] == 0
        bomb = gzip.compress(b"{" + b" " * (40 << 20))
        assert len(bomb) < 1 << 20
        for body, kind, status in (
            (good, "text/html", 415), (b"{}", "application/tlsrpt+json", 400), (good[:-9], "application/tlsrpt+gzip", 400),
            (b"<xml/>", "application/tlsrpt+gzip", 400), (bomb, "application/tlsrpt+gzip", 400),
            (b"x" * (2 << 20), "application/tlsrpt+gzip", 413),
        ):  # fmt: skip
            assert await post(body, kind) == status
        assert await post(b"", method="GET") == 405
        statuses = [await post(b"{}") for _ in range(12)]
        assert set(statuses) == {400, 429}
        relay.clock.now += 3601
        assert await post(good) == 201
        on = False
        assert await post(good) == 404
        await web.stop(1)
    await mail.stop()
    await store.close()
