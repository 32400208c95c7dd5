"""Certificates that people log in with: what they say, and whose word that is. Pure; the handshake has proved the key."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from mailstack.message.errors import SyntaxProblem

PEM_LIMIT = 1 << 20  # octets of a file
NAMES_LIMIT = 20  # addresses of one certificate that are looked at


@dataclass(frozen=True, slots=True)
class Authorities:
    """Those whose word on addresses counts."""

    certificates: tuple[x509.Certificate, ...]

    @property
    def pem(self) -> str:
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in self.certificates)


def parse_authorities(data: bytes) -> Authorities:
    """All certificates of a PEM file. Raises SyntaxProblem."""
    try:
        return Authorities(tuple(x509.load_pem_x509_certificates(data)))
    except ValueError:
        raise SyntaxProblem("no certificates in PEM form") from None


def parse_certificate(data: bytes) -> tuple[str, str, str]:
    """The first one of a PEM file: fingerprint, PEM text, and subject for people. Raises SyntaxProblem."""
    if len(data) > PEM_LIMIT:
        raise SyntaxProblem("too large for a certificate")
    try:
        found = x509.load_pem_x509_certificate(data)
        subject = found.subject.rfc4514_string()
    except ValueError:
        raise SyntaxProblem("no certificate in PEM form") from None
    return found.fingerprint(hashes.SHA256()).hex(), found.public_bytes(Encoding.PEM).decode(), subject[:200]


def vouched_addresses(der: bytes, authorities: Authorities) -> tuple[str, ...]:
    """The addresses in a certificate that one of the authorities has signed itself (RFC 5280 4.2.1.6, rfc822Name).

    Another chain says nothing: a certificate that is bound to an account is trusted by TLS, too, and could sign any name.
    """
    try:
        leaf = x509.load_der_x509_certificate(der)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = tuple(names.get_values_for_type(x509.RFC822Name)[:NAMES_LIMIT])
    except (ValueError, x509.ExtensionNotFound):
        return ()
    return addresses if any(_signed(leaf, one) for one in authorities.certificates) else ()


def _signed(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
