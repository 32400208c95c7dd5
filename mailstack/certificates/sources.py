"""Where certificates come from: files of the admin's, an authority, or this server's own authority. All of it blocks."""

import datetime
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from mailstack.certificates.files import AcmeFiles
from mailstack.certificates.traefik import Held, ours, parse
from mailstack.log import get_logger
from mailstack.mailauth.dane import Tlsa, of_key
from mailstack.message.errors import SyntaxProblem
from mailstack.net.tls import Chain, TlsProblem
from mailstack.net.trial_ca import TrialFiles, make_trial, write_private

log = get_logger()
TRAEFIK_LIMIT = 64 << 20  # octets of an acme.json


@dataclass(frozen=True, slots=True)
class Sources:
    """load() gives what should be served now, to any thread. `folder`: <data>/tls."""

    folder: Path
    hostname: str
    files: AcmeFiles
    clock: Callable[[], float]
    # A key and its certificate are two files: who looks while another makes them anew would see one of each.
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def load(self, mode: str, pair: tuple[Path, Path] | None, domains: frozenset[str] = frozenset()) -> list[Chain]:
        """At least one. `domains`: of this server; others' in an acme.json are left. Raises TlsProblem, OSError."""
        with self._turn:
            return self._load(mode, pair, domains)

    def _load(self, mode: str, pair: tuple[Path, Path] | None, domains: frozenset[str]) -> list[Chain]:
        if pair is not None:
            return self._of_traefik(pair[0], domains) if pair[0].suffix == ".json" else [Chain.load(*pair)]
        if mode == "acme":
            return self._of_authority(domains)
        return [self._trial()]

    def watched(self, pair: tuple[Path, Path] | None) -> tuple[Path, ...]:
        """Files that somebody else writes."""
        return tuple(dict.fromkeys(pair)) if pair is not None else ()

    def records(self, mode: str, pair: tuple[Path, Path] | None) -> list[Tlsa]:
        """TLSA records of the host (DANE-EE of its key): of what is served and, where it will be another one, of the next."""
        leaf = self.load(mode, pair)[0].leaf
        encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        keys = [leaf.public_key().public_bytes(encoding, form)]
        if mode == "acme":
            keys += [key for key in self.files.public_keys(self.hostname) if key not in keys]
        return [of_key(key) for key in keys]

    def authority(self) -> str | None:
        """Our own authority's certificate, PEM, where there is one."""
        try:
            return TrialFiles(self.folder).authority.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return None

    def _trial(self) -> Chain:
        return Chain.load(*make_trial(self.folder, self.hostname, datetime.datetime.fromtimestamp(self.clock(), datetime.UTC)))

    def _of_authority(self, domains: frozenset[str]) -> list[Chain]:
        """The host's first; until an authority has signed one, our own stands in. Then those of domains that have one."""
        host, *others = (self._signed(name) for name in (self.hostname, *sorted(domains - {self.hostname})))
        return [host or self._trial(), *(chain for chain in others if chain is not None)]

    def _signed(self, name: str) -> Chain | None:
        path = self.files.pair(name)
        if not path.exists():
            return None
        try:
            return Chain.load(path, path)
        except TlsProblem as problem:
            log.error("tls.certificate_unusable", problem=str(problem))
            return None

    def _of_traefik(self, path: Path, domains: frozenset[str]) -> list[Chain]:
        """OpenSSL reads files: each certificate becomes one of ours."""
        chains = []
        for place, held in enumerate(read_traefik(path, self.hostname, domains)):
            copy = self.folder / f"traefik-{place}.pem"
            data = held.key + b"\n" + held.certificate
            try:
                same = copy.read_bytes() == data
            except OSError:
                same = False
            if not same:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                write_private(copy, data)
            chains.append(Chain.load(copy, copy))
        return chains


def read_traefik(path: Path, hostname: str, domains: frozenset[str]) -> list[Held]:
    """Those of an acme.json that are for this server; at least its host's. Raises TlsProblem."""
    try:
        with open(path, "rb") as file:
            data = file.read(TRAEFIK_LIMIT + 1)
    except OSError as problem:
        raise TlsProblem(path, f"can't be read: {problem.strerror}") from problem
    if len(data) > TRAEFIK_LIMIT:
        raise TlsProblem(path, "too large for an acme.json")
    try:
        found = ours(parse(data), hostname.lower(), domains)
    except SyntaxProblem as problem:
        raise TlsProblem(path, problem.reason) from problem
    if not found:
        raise TlsProblem(path, f"holds no certificate for {hostname}")
    return found
