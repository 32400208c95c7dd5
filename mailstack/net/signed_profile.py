"""Profiles for Apple's devices are signed by the certificate that the server shows, so that a device calls them verified."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs7

from mailstack.log import get_logger

log = get_logger()


def sign(data: bytes, certificate: Path, key: Path) -> bytes:
    """CMS around it, the chain inside; as it is where the key's kind can't sign it. Raises OSError."""
    own, *others = x509.load_pem_x509_certificates(certificate.read_bytes())
    private = serialization.load_pem_private_key(key.read_bytes(), None)
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        log.info("profile.unsigned", reason="the certificate's key is neither RSA nor EC")
        return data
    builder = pkcs7.PKCS7SignatureBuilder().set_data(data).add_signer(own, private, hashes.SHA256())
    for one in others:
        builder = builder.add_certificate(one)
    return builder.sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
