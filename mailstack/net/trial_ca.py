"""An authority of this server's own, for the trial and for as long as no other vouches for it: who trusts its one file is asked
nothing more. It may sign for its own names alone (RFC 5280 4.2.1.10)."""

import datetime
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailstack.net.tls import names_of

YEARS = 10
DAYS = 825  # programs refuse more
LEFT = datetime.timedelta(days=30)  # a certificate with less is made anew
TRIAL = "home.test"  # RFC 6761 6.2
LOOPBACK = ("127.0.0.0/8", "::1/128")


@dataclass(frozen=True, slots=True)
class TrialFiles:
    """Below <data>/tls: the authority, and the server's certificate with its key."""

    folder: Path

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def authority_key(self) -> Path:
        return self.folder / "ca.key"

    @property
    def certificate(self) -> Path:
        return self.folder / "self-signed.pem"

    @property
    def key(self) -> Path:
        return self.folder / "self-signed.key"


def make_trial(folder: Path, hostname: str, now: datetime.datetime) -> tuple[Path, Path]:
    """Certificate and key for this host in `folder`; those that are there and good for a month more stay. Raises OSError."""
    files = TrialFiles(folder)
    if _usable(files, hostname, now):
        return files.certificate, files.key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority, authority_key = _authority(files, hostname, now)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in _names(hostname)]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    signed = (
        _builder(hostname[:64], authority.subject, now, min(now + datetime.timedelta(days=DAYS), authority.not_valid_after_utc))
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    write_private(files.key, key_pem(key))
    write_private(files.certificate, _pem(signed) + _pem(authority))
    return files.certificate, files.key


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none)


def write_private(path: Path, data: bytes) -> None:
    """Whole or not at all, readable by the owner alone, and there after a power cut."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(beside, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _authority(files: TrialFiles, hostname: str, now: datetime.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The one that is there, if it may sign for this host long enough; else a new one."""
    found = _read(files.authority, files.authority_key)
    if found is not None and _may_sign(found[0], hostname, now):
        return found
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"mailstack on {hostname}"[:64])
    permitted: list[x509.GeneralName] = [x509.DNSName(one) for one in dict.fromkeys((hostname, "localhost", TRIAL))]
    permitted += [x509.IPAddress(ipaddress.ip_network(one)) for one in LOOPBACK]
    signing = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    signed = (
        _builder(f"mailstack on {hostname}"[:64], name, now, now + datetime.timedelta(days=YEARS * 365))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signing, critical=True)
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    # The key first: an authority whose key is not there could sign nothing, and is made anew.
    write_private(files.authority_key, key_pem(key))
    write_private(files.authority, _pem(signed))
    return signed, key


def _names(hostname: str) -> list[str]:
    trial = [TRIAL, f"*.{TRIAL}"] if hostname == "localhost" or hostname.endswith(f".{TRIAL}") else []
    return list(dict.fromkeys((hostname, "localhost", *trial)))


def _builder(subject: str, issuer: x509.Name, now: datetime.datetime, until: datetime.datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(until)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _read(certificate: Path, key: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """A pair that belongs together; a power cut may have left half of one."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or found.public_key() != private.public_key():
        return None
    return found, private


def _may_sign(authority: x509.Certificate, hostname: str, now: datetime.datetime) -> bool:
    try:
        permitted = authority.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or ()
    except x509.ExtensionNotFound:
        return False
    names = {one.value for one in permitted if isinstance(one, x509.DNSName)}
    named = any(hostname == name or hostname.endswith(f".{name}") for name in names)
    return named and authority.not_valid_after_utc - now > 2 * LEFT


def _usable(files: TrialFiles, hostname: str, now: datetime.datetime) -> bool:
    """Whether the pair is whole, for this host, good for another month, and signed by our authority or by itself."""
    found = _read(files.certificate, files.key)
    if found is None or hostname.lower() not in names_of(found[0]) or found[0].not_valid_after_utc - now <= LEFT:
        return False
    if found[0].issuer == found[0].subject:
        return True  # of before there was an authority: programs have it by heart
    try:
        authority = x509.load_pem_x509_certificate(files.authority.read_bytes())
        found[0].verify_directly_issued_by(authority)
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    return True
