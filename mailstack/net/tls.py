"""Certificates for the doors, and contexts for connections to others."""

import asyncio
import datetime
import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailstack.log import get_logger

log = get_logger()
DAYS = 825


class TlsProblem(Exception):
    """A certificate or key that can't be used: the file and the reason. `is_key`: it is the key's file."""

    def __init__(self, path: Path, reason: str, *, is_key: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.is_key = is_key


def make_self_signed(folder: Path, hostname: str, now: datetime.datetime) -> tuple[Path, Path]:
    """Certificate and key for this host in `folder`; those that are there and good for a month more stay."""
    certificate, key = folder / "self-signed.pem", folder / "self-signed.key"
    if _usable(certificate, key, hostname, now):
        return certificate, key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    alternatives: list[x509.GeneralName] = [x509.DNSName(host) for host in dict.fromkeys((hostname, "localhost"))]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(key, pem)
    _write(certificate, signed.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _usable(certificate: Path, key: Path, hostname: str, now: datetime.datetime) -> bool:
    """Whether the pair is whole, for this host, and good for another month; a power cut may have left half a file."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    fresh = found.not_valid_after_utc - now > datetime.timedelta(days=30)
    return fresh and hostname in names.get_values_for_type(x509.DNSName) and found.public_key() == private.public_key()


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, readable by the owner alone."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.rename(beside, path)


class ServerContext(ssl.SSLContext):
    """It knows what tls-server-end-point is of the certificate that it shows; None where that is not defined."""

    end_point: bytes | None = None


class Certificates:
    """The server's contexts: one for other hosts, one for people, who may be asked for a certificate of theirs.

    use() swaps the chain while connections live on.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self.context = _server_context()
        self.people = _server_context()
        self.pair = (certificate, key)
        self.use(certificate, key)

    def ask_people(self, *, ask: bool) -> None:
        """Whether the doors for people ask for a certificate; a client that has none goes on without."""
        self.people.verify_mode = ssl.CERT_OPTIONAL if ask else ssl.CERT_NONE

    def trust(self, pem: str) -> None:
        """Let people's certificates be good that are these, or signed by them; what OpenSSL can't read is passed over."""
        try:
            self.people.load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError) as problem:
            log.warning("tls.certificate_unusable", problem=str(problem))

    def use(self, certificate: Path, key: Path) -> None:
        """Serve what these files hold now. Raises TlsProblem, and then the old ones are served on."""
        try_pair(certificate, key)
        for context in (self.context, self.people):
            _load(context, certificate, key)
            context.end_point = _end_point(certificate)
        self.pair = (certificate, key)


def _server_context() -> ServerContext:
    context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # What was bound to a connection's first handshake must stay bound.
    context.options |= ssl.OP_NO_RENEGOTIATION
    # A bound certificate is trusted by itself, whoever signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _end_point(certificate: Path) -> bytes | None:
    """RFC 5929 4.1: the certificate's hash, by its signature's hash or a better one; some (Ed25519) have none."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    algorithm = found.signature_hash_algorithm
    if algorithm is None:
        return None
    weak = isinstance(algorithm, hashes.MD5 | hashes.SHA1)
    return found.fingerprint(hashes.SHA256() if weak else algorithm)


@dataclass(frozen=True, slots=True)
class TlsEnd:
    """A connection's end of TLS, taken right after the handshake: the certificate may be another one later."""

    ssl_object: ssl.SSLObject
    end_point: bytes | None

    @classmethod
    def of(cls, transport: asyncio.BaseTransport) -> "TlsEnd | None":
        ssl_object = transport.get_extra_info("ssl_object")
        return cls(ssl_object, getattr(ssl_object.context, "end_point", None)) if ssl_object is not None else None

    def certificate(self) -> bytes | None:
        """The client's, in DER, where it was asked for and proved."""
        return self.ssl_object.getpeercert(binary_form=True)

    def bindings(self) -> dict[str, bytes]:
        """Channel bindings by name (RFC 5929). TLS 1.3 has no tls-unique, and Python's ssl no tls-exporter (RFC 9266)."""
        found = {"tls-server-end-point": self.end_point} if self.end_point is not None else {}
        unique = self.ssl_object.get_channel_binding("tls-unique") if self.ssl_object.version() == "TLSv1.2" else None
        return found | ({"tls-unique": unique} if unique else {})


def try_pair(certificate: Path, key: Path) -> None:
    """Raise TlsProblem when these are no certificate and its key."""
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key)


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    for path in (certificate, key):
        try:
            data = path.read_bytes()
        except OSError as problem:
            raise TlsProblem(path, f"can't be read: {problem.strerror}", is_key=path is key) from problem
        if path is key:
            if b"PRIVATE KEY-----" not in data:
                raise TlsProblem(path, "no private key in PEM form", is_key=True)
        elif b"-----BEGIN CERTIFICATE-----" not in data:
            raise TlsProblem(path, "no certificate in PEM form")
    try:
        # Without a password here an encrypted key would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as problem:
        if problem.reason == "KEY_VALUES_MISMATCH":
            raise TlsProblem(certificate, f"does not belong to the key in {key}") from problem
        raise TlsProblem(key, f"can't be used with {certificate}: {problem.reason or problem}", is_key=True) from problem


def peer_chain(ssl_object: ssl.SSLObject) -> list[bytes]:
    """The certificates that the other side showed (DER), its own first, as they came: nothing is verified here."""
    # Public from Python 3.13 on; before, what it is made of has it.
    source = ssl_object if hasattr(ssl_object, "get_unverified_chain") else getattr(ssl_object, "_sslobj", None)
    shown = getattr(source, "get_unverified_chain", None)
    found = shown() if shown is not None else None
    if not found:
        own = ssl_object.getpeercert(binary_form=True)
        return [own] if own else []
    return [one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in found]


def client_context(*, verify: bool) -> ssl.SSLContext:
    """For connections to other hosts: verified for a smarthost, opportunistic for MX hosts (RFC 7435)."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
