"""What an authority is shown in a TLS handshake, to see that a name leads here (RFC 8737)."""

import datetime
import hashlib
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mailstack.net.tls_layer import ACME_TLS
from mailstack.net.trial_ca import key_pem

IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")  # RFC 8737 3, id-pe-acmeIdentifier
_OCTET_STRING = b"\x04\x20"  # of 32 octets, in DER
DAYS = 7


def challenge_context(name: str, key_authorization: str, folder: Path, now: datetime.datetime) -> ssl.SSLContext:
    """It blocks; `folder` is this server's own, for the moment in which OpenSSL reads the files. Raises OSError."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ACME challenge")])
    value = _OCTET_STRING + hashlib.sha256(key_authorization.encode()).digest()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.UnrecognizedExtension(IDENTIFIER, value), critical=True)
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8737 3
    context.set_alpn_protocols([ACME_TLS])
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch) / "challenge.pem"
        path.write_bytes(key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
        context.load_cert_chain(path)
    return context
