"""DKIM signatures (RFC 6376, RFC 8463), relaxed/relaxed."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from mailstack.mailauth.canon import relaxed
from mailstack.message.header import fields

# What is signed when it is there. From and what decides how a mail is read are named once more than they
# appear, so that nobody can add another.
SIGNED = (
    b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to", b"in-reply-to", b"references",
    b"mime-version", b"content-type", b"content-transfer-encoding", b"list-id", b"list-unsubscribe",
    b"list-unsubscribe-post",
)  # fmt: skip
OVERSIGNED = frozenset(
    (b"from", b"to", b"cc", b"subject", b"date", b"message-id", b"reply-to", b"in-reply-to", b"references",
     b"mime-version", b"content-type", b"content-transfer-encoding")
)  # fmt: skip

PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A domain's key and the selector under which its public half stands in the DNS."""

    domain: str
    selector: str
    key: PrivateKey

    @property
    def algorithm(self) -> str:
        return "rsa-sha256" if isinstance(self.key, rsa.RSAPrivateKey) else "ed25519-sha256"


def chosen(header: bytes, extra: Sequence[bytes] = ()) -> tuple[list[bytes], list[bytes]]:
    """(names for h=, the fields that they name in relaxed form); `extra`: further names in lower case that are taken."""
    present: dict[bytes, list[bytes]] = {}
    for name, value in fields(header):
        present.setdefault(name.lower(), []).append(relaxed(name, value))
    names: list[bytes] = []
    signed: list[bytes] = []
    for name in (*SIGNED, *extra):
        # The last one in the header is signed first (RFC 6376 5.4.2).
        for value in reversed(present.get(name, [])):
            names.append(name)
            signed.append(value)
        if name in OVERSIGNED:
            names.append(name)
    return names, signed


def signature(key: SigningKey, text: bytes) -> bytes:
    """The signature of a text in Base64, folded, to stand behind "b="."""
    if isinstance(key.key, rsa.RSAPrivateKey):
        made = key.key.sign(text, padding.PKCS1v15(), hashes.SHA256())
    else:
        made = key.key.sign(hashlib.sha256(text).digest())
    encoded = base64.b64encode(made)
    return b"\r\n\t ".join(encoded[place : place + 70] for place in range(0, len(encoded), 70))


def sign(header: bytes, body_hash: bytes, keys: Iterable[SigningKey], moment: int, valid: int | None = None) -> bytes:
    """The DKIM-Signature fields to put in front, one a key. `valid`: seconds until they are over (x=, RFC 6376 3.5)."""
    names, signed = chosen(header)
    until = f" x={moment + valid};" if valid is not None else ""
    out = []
    for key in keys:
        unsigned = (
            f" v=1; a={key.algorithm}; c=relaxed/relaxed; d={key.domain};\r\n\ts={key.selector}; t={moment};{until}\r\n\t"
            f"bh={base64.b64encode(body_hash).decode()};\r\n\th={folded(names)};\r\n\tb="
        ).encode()
        text = b"\r\n".join([*signed, relaxed(b"dkim-signature", unsigned)])
        out.append(b"DKIM-Signature:" + unsigned + signature(key, text) + b"\r\n")
    return b"".join(out)


def folded(names: list[bytes]) -> str:
    """Names for h=, on lines of at most 70 characters."""
    text, lines = "", []
    for name in names:
        word = name.decode()
        if len(text) + len(word) > 68:
            lines.append(text)
            text = ""
        text += (":" if text or lines else "") + word
    return "\r\n\t ".join([*lines, text])


def generate(kind: str) -> bytes:
    """A new private key as PEM: "rsa" (2048 bits) or "ed25519"."""
    key: PrivateKey = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if kind == "rsa"
        else ed25519.Ed25519PrivateKey.generate()
    )
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def load(pem: bytes, domain: str, selector: str) -> SigningKey:
    """Raises ValueError for what is no RSA or Ed25519 key."""
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise ValueError("not an RSA or Ed25519 key")  # noqa: TRY004 - a file that holds another key
    return SigningKey(domain, selector, key)


def dns_record(key: SigningKey) -> str:
    """The TXT record at <selector>._domainkey.<domain>."""
    public = key.key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        data = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={base64.b64encode(data).decode()}"
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"


def publishes(record: str, key: SigningKey) -> bool:
    """Whether a TXT record at the selector's name holds this key's public half (RFC 6376 3.6.1)."""
    return same_key(record, dns_record(key))


def same_key(record: str, other: str) -> bool:
    """Whether two records hold the same key; what else they say does not matter."""
    return _public(record) == _public(other)


def _public(record: str) -> str:
    tags = {name.strip(): "".join(value.split()) for name, _, value in (one.partition("=") for one in record.split(";"))}
    return tags.get("p", "")
