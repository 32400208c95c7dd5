"""What is kept of authorities: `<data>/tls/acme/`, every file 0600, whole or not there.

account-<sign>.json    the account at one authority: its key, and its URL once there is one
<name>.pem             a certificate with its key in front, in one file: no power cut leaves one without the other
<name>.key             the key that the next certificate is to have
<name>.json            the order under way, failures, when to renew
"""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mailstack.log import get_logger
from mailstack.net.trial_ca import key_pem
from mailstack.store.disk import Disk
from mailstack.store.errors import from_os_error

log = get_logger()
BEGIN = b"-----BEGIN CERTIFICATE-----"


class Refused(msgspec.Struct, frozen=True):
    """A name that an authority refused: not asked for again before `until`."""

    until: float
    reason: str


class State(msgspec.Struct, frozen=True):
    """Of one certificate, over restarts. Times in seconds since 1970."""

    order: str | None = None  # URL of what is under way
    names: list[str] = []  # what it is for
    failures: int = 0  # in a row
    next_attempt: float = 0.0
    problem: str | None = None
    renew_at: float | None = None
    ask_at: float = 0.0  # when the authority is asked again when to renew
    refused: dict[str, Refused] = {}
    challenge: str | None = None  # the kind that did it last time


class Account(msgspec.Struct, frozen=True):
    key: str  # PEM
    url: str | None = None


class AcmeFiles:
    """Every method blocks: call it from a thread. Raises StoreProblem."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder = folder
        self._disk = disk

    def account(self, directory: str) -> Account:
        """The account at this authority; its key is on disk before anybody hears of it."""
        path = self._account_path(directory)
        found: Account | None = self._read(path, Account)
        if found is None or _key(found.key.encode()) is None:
            found = Account(key_pem(ec.generate_private_key(ec.SECP256R1())).decode())
            self._write(path, msgspec.json.encode(found))
        return found

    def keep_account(self, directory: str, account: Account) -> None:
        self._write(self._account_path(directory), msgspec.json.encode(account))

    def state(self, name: str) -> State:
        return self._read(self.folder / f"{name}.json", State) or State()

    def keep(self, name: str, state: State) -> None:
        self._write(self.folder / f"{name}.json", msgspec.json.encode(state))

    def pair(self, name: str) -> Path:
        """The file that holds key and certificate, once there is one."""
        return self.folder / f"{name}.pem"

    def certificate(self, name: str) -> x509.Certificate | None:
        """The one that is there, if its key is, too."""
        try:
            data = self.pair(name).read_bytes()
            found = x509.load_pem_x509_certificate(data)
        except (OSError, ValueError):
            return None
        key = _key(data.partition(BEGIN)[0])
        return found if key is not None and key.public_key() == found.public_key() else None

    def key(self, name: str, *, reuse: bool) -> ec.EllipticCurvePrivateKey:
        """The key for the next certificate: the one in use, or the one that was made for it, the same until install()."""
        for path in ([self.pair(name)] if reuse else []) + [self._key_path(name)]:
            found = self._read_key(path)
            if found is not None:
                return found
        made = ec.generate_private_key(ec.SECP256R1())
        self._write(self._key_path(name), key_pem(made))
        return made

    def install(self, name: str, key: ec.EllipticCurvePrivateKey, chain: bytes, *, reuse: bool) -> None:
        """Put a certificate into place. Without `reuse`, the next one's key is there at once, for the DNS to name (DANE)."""
        self._write(self.pair(name), key_pem(key) + chain)
        try:
            self._key_path(name).unlink(missing_ok=True)
        except OSError as problem:
            raise from_os_error(problem) from problem
        if not reuse:
            self.key(name, reuse=False)

    def retire(self, name: str) -> None:
        """Put a certificate away, beside where it was."""
        try:
            self._disk.rename(self.pair(name), self.folder / f"{name}.retired")
        except OSError as problem:
            raise from_os_error(problem) from problem

    def public_keys(self, name: str) -> list[bytes]:
        """SubjectPublicKeyInfo (DER) of the key that is served and, where it will be another one, of the next."""
        found = []
        for path in (self.pair(name), self._key_path(name)):
            key = self._read_key(path)
            if key is not None:
                encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
                found.append(key.public_key().public_bytes(encoding, form))
        return list(dict.fromkeys(found))

    def _account_path(self, directory: str) -> Path:
        return self.folder / f"account-{hashlib.sha256(directory.encode()).hexdigest()[:12]}.json"

    def _key_path(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    def _read_key(self, path: Path) -> ec.EllipticCurvePrivateKey | None:
        try:
            return _key(path.read_bytes().partition(BEGIN)[0])
        except OSError:
            return None

    def _read(self, path: Path, kind: Any) -> Any:
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise from_os_error(problem) from problem
        except msgspec.DecodeError as problem:
            log.error("tls.state_unreadable", file=str(path), problem=str(problem))
            return None

    def _write(self, path: Path, data: bytes) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._disk.replace_file(path, data)
        except OSError as problem:
            raise from_os_error(problem) from problem


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey | None:
    try:
        found = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        return None
    return found if isinstance(found, ec.EllipticCurvePrivateKey) else None
