"""The other side is somebody else's: Postfix takes the mail, unbound validates, OpenDKIM judges. make test-clients."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mailstack.delivery.signing import digested
from mailstack.mailauth.dkim import dns_record, generate, load, sign
from tests.delivery.test_mta_sts import POLICY, trusting
from tests.support.dnsserver import DnsServer
from tests.support.policyserver import PolicyServer
from tests.support.postfix import Postfix
from tests.support.relay import TEXT, Relay, outcome
from tests.support.signedzone import SignedZone

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def test_opendkim_verifies_what_we_sign(tmp_path: Path) -> None:
    if shutil.which("opendkim") is None:
        pytest.skip("opendkim is not installed (make test-clients installs it)")
    keys = [load(generate("rsa"), "a.test", "r"), load(generate("ed25519"), "a.test", "e")]
    (tmp_path / "keys").write_text("".join(f"{one.selector}._domainkey.a.test {dns_record(one)}\n" for one in keys))
    (tmp_path / "conf").write_text(f"Mode v\nSyslog no\nTestDNSData file:{tmp_path}/keys\n")
    for number, text in enumerate((TEXT, b"From: a@a.test\r\n\r\n", TEXT + b" \t x  y \r\n\r\n\r\n" * 500)):
        header, digest = digested((text,))
        (tmp_path / "mail").write_bytes(sign(header, digest, keys, 1767225600) + text)
        command = ["opendkim", "-x", str(tmp_path / "conf"), "-t", str(tmp_path / "mail"), "-vvv"]
        said = subprocess.run(command, check=False, capture_output=True, text=True).stdout
        assert "dkim=pass (2048-bit key) header.d=a.test" in said, (number, said)
        assert "dkim=pass header.d=a.test header.i=@a.test header.a=ed25519-sha256" in said, (number, said)


def chain(leaf: trustme.LeafCert, authority: trustme.CA) -> bytes:
    return leaf.private_key_and_cert_chain_pem.bytes() + authority.cert_pem.bytes()


async def test_postfix_and_mta_sts(tmp_path: Path, world_folder: Path, authority: trustme.CA) -> None:
    one_folder, other_folder = world_folder / "one", world_folder / "other"
    for folder in (one_folder, other_folder):
        folder.mkdir()
        folder.chmod(0o755)
    records = {
        "b.test": {"MX": ["10 mail.b.test."]},
        "mail.b.test": {"A": ["127.0.0.1"]},
        "mta-sts.b.test": {"A": ["127.0.0.1"]},
        "_mta-sts.b.test": {"TXT": ['"v=STSv1; id=1;"']},
    }
    leaf = authority.issue_cert("mail.b.test")
    with DnsServer(records) as dns, Postfix(one_folder, chain(leaf, authority)) as postfix:
        async with (
            PolicyServer(authority, "b.test", POLICY.format("enforce", "mail.b.test")) as web,
            Relay(tmp_path, dns, port=postfix.port, sts_port=web.port, verified=trusting(authority)) as relay,
        ):
            id = await relay.send("bob@b.test")
            assert await relay.settled(id) is None
            (event,) = [one for one in await relay.data.trace.find(id) if one["event"] == "delivered"]
            assert event["tls"].endswith(", MTA-STS (enforce)")
        assert "TLS connection established" in postfix.log("status=sent")
        assert "status=sent" in postfix.log("status=sent")
        strangers = trustme.CA()
        with Postfix(other_folder, chain(strangers.issue_cert("mail.b.test"), strangers)) as postfix:
            async with (
                PolicyServer(authority, "b.test", POLICY.format("enforce", "mail.b.test")) as web,
                Relay(tmp_path / "other", dns, port=postfix.port, sts_port=web.port, verified=trusting(authority)) as relay,
            ):
                said = await outcome(relay, await relay.send("bob@b.test"))
                assert said.startswith("451 4.7.5 the certificate of mail.b.test proves nothing")


async def test_postfix_unbound_and_dane(tmp_path: Path, world_folder: Path, authority: trustme.CA) -> None:
    leaf = authority.issue_cert("mail.b.test")
    key = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    digest = hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()
    with Postfix(world_folder, chain(leaf, authority)) as postfix:
        place = f"_{postfix.port}._tcp.mail"
        records = [("@", "MX", "10 mail"), ("mail", "A", "127.0.0.1")]
        good, bad = f"3 1 1 {digest}", "3 1 1 " + "00" * 32
        for number, (value, arrives, spoilt) in enumerate(((good, True, False), (bad, False, False), (good, False, True))):
            folder = tmp_path / str(number)
            folder.mkdir()
            with SignedZone(folder, "b.test", [*records, (place, "TLSA", value)]) as zone:
                if spoilt:  # somebody strips the signatures: what can't be proved is no answer at all
                    zone.spoilt.add(f"_{postfix.port}._tcp.mail.b.test")
                async with Relay(folder, zone, port=postfix.port, dnssec=True) as relay:  # type: ignore[arg-type]
                    id = await relay.send("bob@b.test")
                    queued = await relay.settled(id, 30.0)
                    assert (queued is None) is arrives, queued and queued.states[0].reply
                    if arrives:
                        (event,) = [one for one in await relay.data.trace.find(id) if one["event"] == "delivered"]
                        assert event["tls"].endswith(", DANE")
                    elif spoilt:
                        assert "can't be had from the DNS" in await outcome(relay, id)
                    else:
                        assert "is not the one that the TLSA records name" in await outcome(relay, id)
