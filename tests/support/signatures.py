"""DKIM signatures as another program (dkimpy) judges them; Ed25519's curve, which it has no library for here, is lent to it."""

import base64
from types import SimpleNamespace

import dkim
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class _VerifyKey:
    def __init__(self, text: bytes, encoder: object) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(base64.b64decode(text))

    def verify(self, digest: bytes, signature: bytes) -> None:
        self._key.verify(signature, digest)


_NACL = SimpleNamespace(
    signing=SimpleNamespace(VerifyKey=_VerifyKey),
    encoding=SimpleNamespace(Base64Encoder=None),
    exceptions=SimpleNamespace(BadSignatureError=InvalidSignature),
)


def verified(data: bytes, records: dict[str, str]) -> list[bool]:
    """A word for each signature of a message, with TXT records by name."""
    had = getattr(dkim, "nacl", None)
    dkim.nacl = had or _NACL

    def ask(name: bytes, timeout: int = 5) -> bytes:
        return records[name.decode().rstrip(".")].encode()

    try:
        return [bool(dkim.DKIM(data).verify(idx=number, dnsfunc=ask)) for number in range(data.count(b"DKIM-Signature:"))]
    finally:
        if had is None:
            del dkim.nacl
