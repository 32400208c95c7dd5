"""DANE for SMTP: certificates as the DNS has them (RFC 6698, RFC 7671, RFC 7672)."""

import datetime
import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

RECORDS = 30  # of one host; more are not looked at
CHAIN = 10  # certificates of one host
_LENGTHS = {1: 32, 2: 64}


@dataclass(frozen=True, slots=True)
class Tlsa:
    """A TLSA record."""

    usage: int
    selector: int
    matching: int
    data: bytes

    @property
    def usable(self) -> bool:
        """RFC 7672 3.1: DANE-TA(2) and DANE-EE(3) with selectors and digests that are known, and data that can be one."""
        if self.usage not in (2, 3) or self.selector not in (0, 1) or self.matching not in (0, 1, 2):
            return False
        return len(self.data) == _LENGTHS.get(self.matching, len(self.data)) and bool(self.data)

    def fits(self, certificate: x509.Certificate) -> bool:
        """Whether it names this certificate, or its key."""
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        whole = (
            certificate.public_bytes(encoding) if self.selector == 0 else certificate.public_key().public_bytes(encoding, form)
        )
        if self.matching == 0:
            return whole == self.data
        return hashlib.new("sha256" if self.matching == 1 else "sha512", whole).digest() == self.data

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching} {self.data.hex()}"


def of_key(public_key: bytes) -> Tlsa:
    """The record that a server should have: DANE-EE, its key (SubjectPublicKeyInfo, DER), SHA-256 (RFC 7672 3.1)."""
    return Tlsa(3, 1, 1, hashlib.sha256(public_key).digest())


def verify(records: tuple[Tlsa, ...], chain: list[bytes], names: tuple[str, ...], now: float) -> str | None:
    """Why a chain (DER, the host's own certificate first) is not what the records name; None when it is.

    `names`: those that a certificate may be for, where an authority vouches for it (RFC 7672 3.2.2). DANE-EE asks for neither
    name nor date (RFC 7672 3.1.1).
    """
    usable = [record for record in records if record.usable][:RECORDS]
    try:
        certificates = [x509.load_der_x509_certificate(one) for one in chain[:CHAIN]]
        if not certificates:
            return "the host showed no certificate"
        if any(record.usage == 3 and record.fits(certificates[0]) for record in usable):
            return None
        anchors = [record for record in usable if record.usage == 2]
        if not anchors:
            return "its certificate is not the one that the TLSA records name"
        return _by_authority(anchors, certificates, names, datetime.datetime.fromtimestamp(now, datetime.UTC))
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        return f"its certificate can't be read: {problem}"


def _by_authority(
    anchors: list[Tlsa], certificates: list[x509.Certificate], names: tuple[str, ...], now: datetime.datetime
) -> str | None:
    """RFC 7671 5.2: from the host's certificate up to one that a record names."""
    certificate, others = certificates[0], certificates[1:] + _given(anchors)
    if not _is_named(certificate, names):
        return f"its certificate is not for {names[0]}"
    for _ in range(CHAIN):
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return "a certificate of its chain is not valid now"
        if any(record.fits(certificate) for record in anchors):
            return None
        above = next((one for one in others if one is not certificate and _issued(certificate, one)), None)
        if above is None:
            break
        others = [one for one in others if one is not above]
        certificate = above
    return "no certificate of its chain is one that the TLSA records name"


def _given(anchors: list[Tlsa]) -> list[x509.Certificate]:
    """Authorities that stand whole in the DNS: a host need not show them."""
    found = []
    for record in anchors:
        if (record.selector, record.matching) == (0, 0):
            try:
                found.append(x509.load_der_x509_certificate(record.data))
            except ValueError:
                continue
    return found


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound):
        return False
    return True


def _is_named(certificate: x509.Certificate, names: tuple[str, ...]) -> bool:
    """RFC 7672 3.2.3: DNS names; those of the subject count where there are none."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        shown = found.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        shown = []
    if not shown:
        shown = [str(one.value) for one in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    wanted = {name.lower().rstrip(".") for name in names}
    for one in shown:
        name = one.lower().rstrip(".")
        if name in wanted or (name.startswith("*.") and any(other.partition(".")[2] == name[2:] for other in wanted)):
            return True
    return False
