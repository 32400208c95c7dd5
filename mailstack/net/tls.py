"""Certificates for the doors, and contexts for connections to others."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization

from mailstack.log import get_logger

log = get_logger()


class TlsProblem(Exception):
    """A certificate or key that can't be used: the file and the reason. `is_key`: it is the key's file."""

    def __init__(self, path: Path, reason: str, *, is_key: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.is_key = is_key


class ServerContext(ssl.SSLContext):
    """It knows what tls-server-end-point is of the certificate that it shows; None where that is not defined."""

    end_point: bytes | None = None
    # RFC 8737: contexts by name for who offers acme-tls/1 alone; empty while no authority asks.
    challenges: Mapping[str, ssl.SSLContext] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate that is served, for its names. One context for other hosts and the web, one for people."""

    leaf: x509.Certificate
    names: tuple[str, ...]  # lower case
    hosts: ServerContext
    people: ServerContext
    pair: tuple[Path, Path]  # the files that it came from

    @classmethod
    def load(cls, certificate: Path, key: Path) -> "Chain":
        """From files, which may be one. They block. Raises TlsProblem, also when the certificate changes meanwhile."""
        contexts = _server_context(), _server_context()
        try:
            for context in contexts:
                _load(context, certificate, key)
                context.end_point = _end_point(certificate)
            leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
            if _end_point(certificate) != contexts[0].end_point:
                raise TlsProblem(certificate, "changes while it is read")
        except (ValueError, UnsupportedAlgorithm) as problem:
            raise TlsProblem(certificate, f"can't be read: {problem}") from problem
        return cls(leaf, names_of(leaf), *contexts, (certificate, key))

    @property
    def der(self) -> bytes:
        return self.leaf.public_bytes(serialization.Encoding.DER)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names that a certificate is for, in lower case."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))


class Chains:
    """By name. The first is for who asks for no name, or for one that none has."""

    def __init__(self, chains: Sequence[Chain]) -> None:
        self.all = tuple(chains)
        self._by_name = {name: chain for chain in reversed(self.all) for name in chain.names}

    def of(self, name: str | None) -> Chain:
        wanted = (name or "").lower().rstrip(".")
        return self._by_name.get(wanted) or self._by_name.get(f"*.{wanted.partition('.')[2]}") or self.all[0]


class Certificates:
    """Which certificate each name gets: at doors for other hosts (`context`), for people (who may be asked for one of
    theirs), and at https (`web`).

    use() takes other chains while connections live on: a handshake looks here, and keeps what it found.
    """

    def __init__(self, chains: Sequence[Chain]) -> None:
        self.context, self.people, self.web = (_server_context() for _ in range(3))
        self._trusted: dict[str, None] = {}
        self.use(chains)
        self.context.sni_callback = self.web.sni_callback = lambda end, name, _: _switch(end, self.chains.of(name).hosts)
        self.people.sni_callback = lambda end, name, _: _switch(end, self.chains.of(name).people)
        self._challenges: dict[str, ssl.SSLContext] = {}
        self.web.challenges = self._challenges

    @property
    def pair(self) -> tuple[Path, Path]:
        """The files of the host's own certificate and key."""
        return self.chains.all[0].pair

    def ask_people(self, *, ask: bool) -> None:
        """Whether the doors for people ask for a certificate; a client that has none goes on without."""
        self.people.verify_mode = ssl.CERT_OPTIONAL if ask else ssl.CERT_NONE

    def trust(self, pem: str) -> None:
        """Let people's certificates be good that are these, or signed by them; what OpenSSL can't read is passed over."""
        if pem in self._trusted:
            return
        self._trusted[pem] = None
        for chain in self.chains.all:
            _trust(chain.people, pem)

    def use(self, chains: Sequence[Chain]) -> None:
        """Serve these from the next handshake on; at least one."""
        for chain in chains:
            for pem in self._trusted:
                _trust(chain.people, pem)
        self.chains = Chains(chains)

    def challenge(self, name: str, context: ssl.SSLContext | None) -> None:
        """What an authority is shown at https that looks whether the name leads here (RFC 8737 3); None: it is done."""
        if context is None:
            self._challenges.pop(name, None)
        else:
            self._challenges[name] = context


def _switch(end: ssl.SSLObject, context: ssl.SSLContext) -> None:
    end.context = context


def _trust(context: ssl.SSLContext, pem: str) -> None:
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as problem:
        log.warning("tls.certificate_unusable", problem=str(problem))


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
            raise TlsProblem(path, f"can't be read: {problem.strerror}", is_key=path == key and key != certificate) from problem
        if path == key and b"PRIVATE KEY-----" not in data:
            raise TlsProblem(path, "no private key in PEM form", is_key=True)
        if path == certificate and b"-----BEGIN CERTIFICATE-----" not in data:
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
