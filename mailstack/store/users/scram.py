"""What SCRAM needs of passwords: made when one is set or proved, looked up when a client begins.

All passwords of an account (its own and those of single devices) share one salt, which depends on the address alone: the
challenge is the same for a password that is known, for one that is not, and for an address that does not exist.
"""

import enum
import hmac
from dataclasses import dataclass

from mailstack.message.address import parse_address
from mailstack.store.users.devices import Device
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.wire.scram import Keys, derive

ITERATIONS = 8192  # RFC 7677 4: at least 4096. Clients on small devices pay for each of them at each login


class ScramMode(enum.Enum):
    """Whether SCRAM is announced."""

    AUTO = "auto"  # once every password can be used with it
    ON = "on"
    OFF = "off"  # and nothing is kept for it


@dataclass(frozen=True, slots=True)
class Known:
    """What is needed to go on with one client."""

    key: str
    record: AccountRecord | None  # None too where it is switched off
    salt: bytes
    candidates: tuple[Keys, ...]
    devices: tuple[Device | None, ...]  # of each candidate; None: the account's own password
    revocations: int  # as Directory.revocations() said before anything was read


class Scram:
    """On the event loop. Only make() is blocking, and may run in any thread."""

    def __init__(self, directory: Directory, mode: ScramMode) -> None:
        self._directory = directory
        self._secret = b""
        self.mode = mode

    @property
    def offered(self) -> bool:
        """A client takes the strongest mechanism that it finds: one that fails for some would lock them out."""
        return self.mode is ScramMode.ON or (self.mode is ScramMode.AUTO and self._directory.scram_whole)

    async def salt(self, key: str) -> bytes:
        if not self._secret:
            self._secret = (await self._directory.setting("scram-secret")).encode()
        return hmac.digest(self._secret, key.encode("utf-8", "surrogateescape"), "sha256")[:16]

    def make(self, salt: bytes, password: str) -> str | None:
        """Blocking (some 2 ms): what is kept of a password; None where nothing is to be kept."""
        return derive(password, salt, ITERATIONS).dump() if self.mode is not ScramMode.OFF else None

    async def look_up(self, login: str) -> Known:
        """What is known of a login name. The same work for names that nobody has."""
        try:
            key = parse_address(login).key
        except ValueError:
            key = login[:320].casefold()
        revocations = self._directory.revocations(key)
        salt = await self.salt(key)
        record = (await self._directory.entry(key)).account
        kept = await self._directory.scram_keys(key)
        if record is None or record.disabled:
            return Known(key, None, salt, (), (), revocations)
        loaded = [(Keys.load(text), device) for text, device in kept]
        usable = [(keys, device) for keys, device in loaded if (keys.salt, keys.iterations) == (salt, ITERATIONS)]
        return Known(key, record, salt, tuple(keys for keys, _ in usable), tuple(device for _, device in usable), revocations)
