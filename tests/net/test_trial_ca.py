"""The authority of the trial: what it signs is good for who trusts it, and it signs for nobody else."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailstack.net.tls import Certificates, Chain
from mailstack.net.trial_ca import TrialFiles, key_pem, make_trial
from tests.net.test_tls_served import serving

NOW = datetime.datetime.now(datetime.UTC)


def leaf(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.mark.parametrize(
    ("hostname", "names"),
    [("localhost", ["localhost", "home.test", "mail.home.test"]), ("mail.example.org", ["mail.example.org", "localhost"])],
)
async def test_who_trusts_it_is_asked_nothing(tmp_path: Path, hostname: str, names: list[str]) -> None:
    certificates = Certificates([Chain.load(*make_trial(tmp_path, hostname, NOW))])
    context = ssl.create_default_context(cafile=str(TrialFiles(tmp_path).authority))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    async with serving(certificates.people) as listener:
        for name in [*names, "127.0.0.1"]:
            _, writer = await asyncio.open_connection("127.0.0.1", listener.port, ssl=context, server_hostname=name)
            writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", listener.port, ssl=context, server_hostname="example.com")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


async def test_what_is_signed_for_another_name_is_worth_nothing(tmp_path: Path) -> None:
    """Even by the authority's own key."""
    make_trial(tmp_path, "localhost", NOW)
    files = TrialFiles(tmp_path)
    signer = serialization.load_pem_private_key(files.authority_key.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    forged = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(leaf(files.authority).subject)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bank.example.com")]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    path = tmp_path / "forged.pem"
    path.write_bytes(key_pem(key) + forged.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(cafile=str(files.authority))
    async with serving(Certificates([Chain.load(path, path)]).people) as listener:
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
            await asyncio.open_connection("127.0.0.1", listener.port, ssl=context, server_hostname="bank.example.com")


def test_what_is_there_stays_and_what_ends_is_made_anew_by_the_same_authority(tmp_path: Path) -> None:
    certificate, _ = make_trial(tmp_path, "localhost", NOW)
    first, authority = leaf(certificate), leaf(TrialFiles(tmp_path).authority)
    make_trial(tmp_path, "localhost", NOW + datetime.timedelta(days=700))
    assert leaf(certificate) == first
    make_trial(tmp_path, "localhost", NOW + datetime.timedelta(days=800))
    assert leaf(certificate) != first
    assert leaf(TrialFiles(tmp_path).authority) == authority
    make_trial(tmp_path, "mail.example.org", NOW)
    assert leaf(TrialFiles(tmp_path).authority) != authority


@pytest.mark.parametrize("lost", ["ca.pem", "ca.key", "self-signed.pem", "self-signed.key"])
def test_half_of_it_is_lost(tmp_path: Path, lost: str) -> None:
    make_trial(tmp_path, "localhost", NOW)
    (tmp_path / lost).write_bytes(b"-----BEGIN")
    Chain.load(*make_trial(tmp_path, "localhost", NOW))
    leaf(tmp_path / "self-signed.pem").verify_directly_issued_by(leaf(tmp_path / "ca.pem")) if lost != "ca.key" else None


def test_one_of_before_there_was_an_authority_stays(tmp_path: Path) -> None:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    old = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(5)
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=400))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "self-signed.pem").write_bytes(old.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "self-signed.key").write_bytes(key_pem(key))
    assert leaf(make_trial(tmp_path, "localhost", NOW)[0]) == old
    assert not TrialFiles(tmp_path).authority.exists()
