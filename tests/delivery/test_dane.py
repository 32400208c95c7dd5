"""DANE: hosts are proved by what a validating resolver on this machine vouches for, and by nothing else (RFC 7672)."""

import hashlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mailstack.mailauth.dane import Tlsa, verify
from mailstack.net.dns import Resolver
from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer, Script
from tests.support.relay import Relay, outcome

NOW = 1_800_000_000.0


class Certified:
    """A host's certificate, and what the DNS may say of it."""

    def __init__(self, authority: trustme.CA, *names: str) -> None:
        self.leaf = authority.issue_cert(*names)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # RFC 7672 3.1.2: the authority is part of what a host shows.
        whole = trustme.Blob(self.leaf.private_key_and_cert_chain_pem.bytes() + authority.cert_pem.bytes())
        with whole.tempfile() as path:
            self.context.load_cert_chain(path)
        self.certificate = x509.load_pem_x509_certificate(self.leaf.cert_chain_pems[0].bytes())
        self.authority = x509.load_pem_x509_certificate(authority.cert_pem.bytes())

    def record(self, usage: int, selector: int, matching: int) -> str:
        one = self.certificate if usage in (1, 3) else self.authority
        encoding = serialization.Encoding.DER
        data = one.public_bytes(encoding)
        if selector == 1:
            data = one.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
        shown = {0: data, 1: hashlib.sha256(data).digest(), 2: hashlib.sha512(data).digest()}[matching]
        return f"{usage} {selector} {matching} {shown.hex()}"


@pytest.fixture(scope="module")
def certified(authority: trustme.CA) -> Certified:
    return Certified(authority, "mail.b.test")


@pytest.fixture
async def relay(tmp_path: Path, dns: DnsServer, peer: Peer, certified: Certified) -> AsyncIterator[Relay]:
    dns.signed |= {"b.test", "mail.b.test", f"_{peer.port}._tcp.mail.b.test"}
    peer.play(Script(tls=certified.context, only=1))
    async with Relay(tmp_path, dns, peer, dnssec=True) as one:
        yield one


def publish(relay: Relay, dns: DnsServer, *records: str, name: str = "mail.b.test") -> None:
    dns.add(f"_{relay.settings.mx_port}._tcp.{name}", TLSA=list(records))
    relay.resolver.use([f"127.0.0.1:{dns.port}"], dnssec=True)


OTHER = "3 1 1 " + "00" * 32


async def test_records_that_fit(relay: Relay, peer: Peer, dns: DnsServer, certified: Certified) -> None:
    for usage in (3, 2):
        for selector in (0, 1):
            for matching in (0, 1, 2):
                publish(relay, dns, OTHER, certified.record(usage, selector, matching))
                id = await relay.send("bob@b.test")
                assert await relay.settled(id) is None, (usage, selector, matching)
    assert len(peer.messages) == 12
    (event,) = [one for one in await relay.data.trace.find(id) if one["event"] == "delivered"]
    assert event["tls"] == "TLSv1.3, DANE"
    assert relay.data.transport.levels["b.test"].level == 3


async def test_records_that_do_not_fit(relay: Relay, peer: Peer, dns: DnsServer, certified: Certified) -> None:
    publish(relay, dns, OTHER)
    id = await relay.send("bob@b.test")
    said = await outcome(relay, id)
    assert said.startswith("451 4.7.5 mail.b.test: its certificate is not the one that the TLSA records name; DANE asks for it")
    publish(relay, dns, "2 1 1 " + "00" * 32, "0 0 1 " + "00" * 32)
    assert await relay.again(id) is not None
    publish(relay, dns, certified.record(3, 1, 1))
    peer.play(Script(only=1))  # somebody hides STARTTLS
    assert await relay.again(id) is not None
    assert "offers no TLS; DANE asks for it" in relay.queue.messages[id].states[0].reply
    assert peer.messages == []
    results = (await relay.data.transport.results(int(relay.clock() // 86400)))["b.test"]
    assert {(one.kind, one.failure) for one, _ in results} == {
        ("tlsa", "validation-failure"),
        ("tlsa", "starttls-not-supported"),
    }


async def test_an_answer_that_is_held_back_stops_delivery(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.broken.add(f"_{peer.port}._tcp.mail.b.test")
    said = await outcome(relay, await relay.send("bob@b.test"))
    assert "TLSA records of mail.b.test can't be had" in said
    assert peer.sessions == []


async def test_records_of_no_use_mean_tls_without_proof(relay: Relay, peer: Peer, dns: DnsServer, certified: Certified) -> None:
    publish(relay, dns, certified.record(1, 1, 1), "3 1 9 00")
    assert await relay.settled(await relay.send("bob@b.test")) is None
    peer.play(Script(only=1))
    assert (await outcome(relay, await relay.send("bob@b.test"))).startswith("451 4.7.4 ")


@pytest.mark.parametrize("unsigned", ["b.test", "mail.b.test", "TLSA"])
async def test_what_nobody_vouches_for_counts_for_nothing(relay: Relay, peer: Peer, dns: DnsServer, unsigned: str) -> None:
    publish(relay, dns, OTHER)
    dns.signed.discard(unsigned if unsigned != "TLSA" else f"_{peer.port}._tcp.mail.b.test")
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert [session.secure for session in peer.sessions] == [True]


async def test_without_the_setting_nobody_is_trusted(tmp_path: Path, peer: Peer, dns: DnsServer) -> None:
    dns.signed |= {"b.test", "mail.b.test", f"_{peer.port}._tcp.mail.b.test"}
    dns.add(f"_{peer.port}._tcp.mail.b.test", TLSA=[OTHER])
    async with Relay(tmp_path, dns, peer) as relay:
        assert await relay.settled(await relay.send("bob@b.test")) is None


def test_only_name_servers_on_this_machine_are_trusted() -> None:
    assert Resolver(["127.0.0.1", "[::1]:5353"], dnssec=True).trusts_ad
    assert not Resolver(["127.0.0.1", "192.0.2.1"], dnssec=True).trusts_ad
    assert not Resolver(["127.0.0.1"]).trusts_ad


def test_an_authority_vouches_for_names_and_dates(authority: trustme.CA, certified: Certified) -> None:
    chain = [pem.bytes() for pem in certified.leaf.cert_chain_pems] + [authority.cert_pem.bytes()]
    shown = [ssl.PEM_cert_to_DER_cert(one.decode()) for one in chain]
    usage, selector, matching, data = certified.record(2, 1, 1).split()
    anchor = Tlsa(int(usage), int(selector), int(matching), bytes.fromhex(data))
    whole = Tlsa(2, 0, 0, certified.authority.public_bytes(serialization.Encoding.DER))
    assert verify((anchor,), shown, ("mail.b.test",), NOW) is None
    assert (
        verify((anchor,), shown[:1], ("mail.b.test",), NOW) == "no certificate of its chain is one that the TLSA records name"
    )
    assert verify((whole,), shown[:1], ("MAIL.b.test",), NOW) is None
    assert verify((whole,), shown[:1], ("x.test", "b.test"), NOW) == "its certificate is not for x.test"
    assert verify((whole,), shown[:1], ("mail.b.test",), 1e11 / 2) == "a certificate of its chain is not valid now"
    other = Certified(trustme.CA(), "mail.b.test")
    strange = Tlsa(2, 0, 0, other.authority.public_bytes(serialization.Encoding.DER))
    assert verify((strange,), shown[:1], ("mail.b.test",), NOW) is not None
    # A certificate that is no authority's vouches for nobody.
    leaf = Tlsa(2, 0, 0, other.certificate.public_bytes(serialization.Encoding.DER))
    assert verify((leaf,), shown, ("mail.b.test",), NOW) is not None
    assert verify((anchor,), [], ("mail.b.test",), NOW) == "the host showed no certificate"
    assert "can't be read" in (verify((anchor,), [b"\x30\x03abc"], ("mail.b.test",), NOW) or "")
