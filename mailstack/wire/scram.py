"""SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677): the server's side as a state machine. No clock, no chance, no look-up."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.sasl import text
from mailstack.wire.saslprep import saslprep

MESSAGE_LIMIT = 4096
_GS2 = re.compile(r"(?:(?P<flag>[ny])|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<identity>[^,\0]+))?,")
_FIRST = re.compile(r"n=(?P<user>[^,\0]+),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,\0]+)*")
_FINAL = re.compile(
    r"(?P<without>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?:,[A-Za-z]=[^,\0]+)*),p=(?P<proof>[A-Za-z0-9+/=]+)"
)


class Unproved(Exception):
    """The exchange failed: a wrong password, or somebody in the middle. The reason is for the log."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What is kept of a password: it proves a client, and is no password itself."""

    iterations: int
    salt: bytes
    stored: bytes
    server: bytes

    def dump(self) -> str:
        packed = (base64.b64encode(one).decode() for one in (self.salt, self.stored, self.server))
        return "$".join((str(self.iterations), *packed))

    @classmethod
    def load(cls, line: str) -> "Keys":
        iterations, *packed = line.split("$")
        salt, stored, server = (base64.b64decode(one) for one in packed)
        return cls(int(iterations), salt, stored, server)


def derive(password: str, salt: bytes, iterations: int) -> Keys:
    """RFC 5802 3. It takes a processor's time by intent."""
    prepared = saslprep(password).encode("utf-8", "surrogateescape")
    salted = hashlib.pbkdf2_hmac("sha256", prepared, salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return Keys(iterations, salt, hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256"))


class Exchange:
    """first(), challenge(), final(), in this order.

    `plus`: the -PLUS form was chosen; `plus_offered`: it was announced to this client; `bindings`: the channel's, by name.
    """

    def __init__(self, *, plus: bool, plus_offered: bool, bindings: Mapping[str, bytes], nonce: str) -> None:
        self._plus = plus
        self._plus_offered = plus_offered
        self._bindings = bindings
        self._nonce = nonce
        self._header = ""
        self._bound = b""
        self._first = ""
        self._challenge = ""

    def first(self, data: bytes) -> tuple[str, str]:
        """The client's first message: the user, and whom to act as ("" for the user). Raises SyntaxProblem, Unproved."""
        message = text(data, MESSAGE_LIMIT)
        header = _GS2.match(message)
        if header is None:
            raise SyntaxProblem("not a SCRAM message")
        bare = message[header.end() :]
        if bare.startswith("m="):
            # RFC 5802 5.1: an extension that must be understood.
            raise Unproved("extensions-not-supported")
        found = _FIRST.fullmatch(bare)
        if found is None:
            raise SyntaxProblem("not a SCRAM message")
        self._header, self._first = header[0], bare
        self._nonce = found["nonce"] + self._nonce
        self._choose(header["flag"], header["binding"])
        return _name(found["user"]), _name(header["identity"] or "")

    def _choose(self, flag: str | None, binding: str | None) -> None:
        """RFC 5802 6: what the client says of channel binding."""
        if binding is None:
            if self._plus:
                raise Unproved("channel-binding-missing")
            if flag == "y" and self._plus_offered:
                # It could bind, and was told that we can't: somebody took -PLUS out of our list.
                raise Unproved("server-does-support-channel-binding")
            return
        if not self._plus:
            raise Unproved("channel-binding-not-supported")
        if binding not in self._bindings:
            raise Unproved("unsupported-channel-binding-type")
        self._bound = self._bindings[binding]

    def challenge(self, salt: bytes, iterations: int) -> bytes:
        """The server's first message."""
        self._challenge = f"r={self._nonce},s={base64.b64encode(salt).decode()},i={iterations}"
        return self._challenge.encode()

    def final(self, data: bytes, candidates: Sequence[Keys]) -> tuple[bytes, int]:
        """The client's last message: our own proof, and the place of the candidate that its proof fits.

        Raises SyntaxProblem, Unproved.
        """
        message = text(data, MESSAGE_LIMIT)
        found = _FINAL.fullmatch(message)
        if found is None:
            raise SyntaxProblem("not a SCRAM message")
        binding, proof = _octets(found["binding"]), _octets(found["proof"])
        if not hmac.compare_digest(binding, self._header.encode() + self._bound):
            raise Unproved("channel-bindings-dont-match")
        if not hmac.compare_digest(found["nonce"], self._nonce):
            raise Unproved("other-error")
        signed = f"{self._first},{self._challenge},{found['without']}".encode()
        for place, keys in enumerate(candidates):
            signature = hmac.digest(keys.stored, signed, "sha256")
            client = bytes(one ^ other for one, other in zip(proof, signature, strict=False))
            if len(proof) == len(signature) and hmac.compare_digest(hashlib.sha256(client).digest(), keys.stored):
                return b"v=" + base64.b64encode(hmac.digest(keys.server, signed, "sha256")), place
        raise Unproved("invalid-proof")


def _name(escaped: str) -> str:
    """RFC 5802 5.1: saslname, in which "," is "=2C" and "=" is "=3D"."""
    if re.search("=(?!2C|3D)", escaped):
        raise SyntaxProblem("not a SCRAM name")
    return escaped.replace("=2C", ",").replace("=3D", "=")


def _octets(packed: str) -> bytes:
    try:
        return base64.b64decode(packed, validate=True)
    except binascii.Error:
        raise SyntaxProblem("not base64") from None
