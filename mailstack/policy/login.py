"""How people log in, at every door alike: passwords and SASL mechanisms, what may be used where, and how often one may fail."""

import enum
import functools
import hmac
import ipaddress
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from mailstack.message.errors import SyntaxProblem
from mailstack.policy.bans import Bans
from mailstack.policy.certificates import ClientCertificates
from mailstack.policy.limits import Limits
from mailstack.policy.tokens import OAuthSettings, Refused, Tokens, Unavailable
from mailstack.store.users.devices import Device, Devices
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.store.users.logins import LoginBook
from mailstack.store.users.passwords import PasswordChecker, Refusal
from mailstack.store.users.scope import OWN, Protocol, Scope
from mailstack.store.users.scram import ITERATIONS, Scram, ScramMode
from mailstack.wire import sasl
from mailstack.wire.sasl import Bearer
from mailstack.wire.scram import Exchange, Unproved

Ask = Callable[[bytes], Awaitable[bytes]]  # a challenge in base64, and the client's next line
UNIQUE = "tls-unique"
CODES = "This account has one-time codes: a mail program needs an app password"
BANNED = "Too many failed logins from your network"


class Denial(enum.Enum):
    WRONG = "wrong"  # unknown, disabled or not proved: never told apart
    BUSY = "busy"  # come again
    CANCELLED = "cancelled"
    MALFORMED = "malformed"
    UNKNOWN_MECHANISM = "unknown-mechanism"
    NO_TLS = "no-tls"
    OTHER_IDENTITY = "other-identity"
    EXPIRED = "expired"  # an app password whose time is over
    BANNED = "banned"  # it failed too often, and this try was not looked at
    OUT_OF_SCOPE = "out-of-scope"  # an app password that is not for this door
    NEEDS_DEVICE = "needs-app-password"  # the account has one-time codes, which no mail program asks for


LOGGED = frozenset({Denial.WRONG, Denial.EXPIRED, Denial.OUT_OF_SCOPE, Denial.NEEDS_DEVICE})  # as failed logins


@dataclass(frozen=True, slots=True)
class Denied:
    """Nobody logged in. User and reason are for the log."""

    denial: Denial
    user: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """Who came in, and what may be done with what was proved. The door asks `scope`; that it is for this door is known."""

    account: AccountRecord
    device: Device | None = None  # of an app password; None: the account's own, or a token
    mechanism: str | None = None  # of SASL; None: a command of the protocol's own

    @property
    def scope(self) -> Scope:
        return self.device.scope if self.device is not None else OWN

    @property
    def read_only(self) -> bool:
        return self.scope.read_only


Outcome = Login | Denied


@dataclass(frozen=True, slots=True)
class Channel:
    """What a door knows of a connection."""

    peer: str
    private: bool  # TLS, or from this machine where the settings allow it
    protocol: Protocol
    client: str = ""  # what the client says that it is
    certificate: bytes | None = None  # the client's, in DER, proved by the handshake
    bindings: Mapping[str, bytes] = field(default_factory=dict)  # RFC 5929, by name

    @property
    def offers_plus(self) -> bool:
        """Whether the binding is there that clients take unasked: tls-unique, and with TLS 1.3 tls-exporter (RFC 9266 3)."""
        return UNIQUE in self.bindings


@functools.lru_cache(1024)
def is_loopback(peer: str) -> bool:
    """Whether it is this machine: each greeting and each login asks."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


class Logins:
    """One for the server. Its methods never raise for what a client sends, save what `ask` raises."""

    def __init__(
        self,
        directory: Directory,
        passwords: PasswordChecker,
        scram: Scram,
        limits: Limits,
        tokens: Tokens | None = None,
        devices: Devices | None = None,
        bans: Bans | None = None,
        certificates: ClientCertificates | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._directory = directory
        self._passwords = passwords
        self._scram = scram
        self._limits = limits
        self.tokens = tokens  # None: no provider is configured
        self.certificates = certificates  # None: clients are not asked for any
        self._devices = devices
        self.book: LoginBook | None = None  # None: nothing is written down
        self._bans = bans
        self.on_outcome: Callable[[str, str], None] = lambda *_: None  # protocol, and how it ended
        self._key = secrets.token_bytes(32)
        self._clock = clock

    def mechanisms(self, channel: Channel) -> list[str]:
        """What this client is told of."""
        if not channel.private:
            return []
        found = ["PLAIN", "LOGIN"]
        if self._scram.offered:
            found.append("SCRAM-SHA-256")
            if channel.offers_plus:
                found.append("SCRAM-SHA-256-PLUS")
        if self.tokens is not None:
            found += ["OAUTHBEARER", "XOAUTH2"]
        if self.certificates is not None and channel.certificate is not None:
            found.append("EXTERNAL")
        return found

    def refuses(self, peer: str) -> bool:
        """Whether a client is banned: it may not even connect where one logs in."""
        return self._bans is not None and self._bans.refuses(peer)

    async def password(self, channel: Channel, user: str, password: str) -> Outcome:
        """A name and a password, as LOGIN and PASS bring them."""
        if not channel.private:
            return Denied(Denial.NO_TLS, user)
        if self.refuses(channel.peer):
            return Denied(Denial.BANNED, user)
        await self._limits.wait_turn(channel.peer, user)
        found = await self._passwords.verify(user, password)
        if found is Refusal.BUSY:
            return Denied(Denial.BUSY, user)
        if isinstance(found, Refusal):
            # One that was right once is no guess: its device may ask again and again.
            expired = found is Refusal.EXPIRED
            return Denied(Denial.EXPIRED, user) if expired else self._failed(channel, user, guess=password)
        return self._proved(channel, user, Login(found.record, found.device), by_password=True)

    def code_failed(self, channel: Channel, user: str) -> None:
        """A one-time code was wrong after a right password: it counts as a wrong password does."""
        self._failed(channel, user, "code", secrets.token_hex(8))

    async def sasl(self, mechanism: str, initial: bytes | None, channel: Channel, ask: Ask) -> Outcome:
        """A SASL exchange. `initial` is the initial response in base64, None when there is none."""
        run = {
            "PLAIN": self._plain,
            "LOGIN": self._login,
            "SCRAM-SHA-256": self._scram_plain,
            "SCRAM-SHA-256-PLUS": self._scram_plus,
            "OAUTHBEARER": self._oauthbearer,
            "XOAUTH2": self._xoauth2,
            "EXTERNAL": self._external,
        }.get(mechanism)
        if run is None or (mechanism.startswith("SCRAM") and self._scram.mode is ScramMode.OFF):
            return Denied(Denial.UNKNOWN_MECHANISM)
        if "OAUTH" in mechanism and self.tokens is None:
            return Denied(Denial.UNKNOWN_MECHANISM)
        if mechanism == "EXTERNAL" and (self.certificates is None or channel.certificate is None):
            return Denied(Denial.UNKNOWN_MECHANISM)
        if not channel.private:
            return Denied(Denial.NO_TLS)
        if self.refuses(channel.peer):
            return Denied(Denial.BANNED)
        try:
            found = await run(initial, channel, ask)
            return replace(found, mechanism=mechanism) if isinstance(found, Login) else found
        except sasl.Cancelled:
            return Denied(Denial.CANCELLED)
        except SyntaxProblem as problem:
            return Denied(Denial.MALFORMED, reason=problem.reason)

    def _failed(self, channel: Channel, user: str, reason: str = "", guess: str | None = None) -> Denied:
        """Failures slow the pair of peer and account; different ones count towards a ban."""
        self._limits.failed(channel.peer, user)
        self.on_outcome(channel.protocol, "failed")
        if self._bans is not None:
            tried = None
            if guess is not None:
                tried = hmac.digest(self._key, f"{user}\0{guess}".encode("utf-8", "surrogateescape"), "sha256")[:16]
            self._bans.failed(channel.peer, user, tried)
        return Denied(Denial.WRONG, user, reason)

    def _proved(self, channel: Channel, user: str, login: Login, *, by_password: bool = False) -> Outcome:
        """The last look: whether what was proved is good for this door, and still good. A success forgives failures."""
        device = login.device
        if device is not None and device.expired(self._clock()):
            self.on_outcome(channel.protocol, "expired")
            return Denied(Denial.EXPIRED, user, device.label)
        if by_password and device is None and login.account.second_factor and channel.protocol is not Protocol.WEB:
            return Denied(Denial.NEEDS_DEVICE, user)
        if not login.scope.admits(channel.protocol):
            self.on_outcome(channel.protocol, "out-of-scope")
            return Denied(Denial.OUT_OF_SCOPE, user, f"{device.label if device else ''}: {login.scope.name}")
        self._limits.succeeded(channel.peer, user)
        if self._bans is not None:
            self._bans.succeeded(channel.peer, login.account.address)
        self.seen(login, channel, channel.client)
        self.on_outcome(channel.protocol, "ok")
        return login

    def seen(self, login: Login, channel: Channel, client: str) -> None:
        """Note who came in, from where, and by which program."""
        label = login.device.label if login.device is not None else ""
        if self.book is not None:
            self.book.seen(login.account.address, channel.protocol, channel.peer, label, client)
        if login.device is not None and self._devices is not None:
            shown = f"{channel.protocol} {client}".strip()
            self._devices.used(login.device, self._clock(), channel.peer, shown)

    async def _plain(self, initial: bytes | None, channel: Channel, ask: Ask) -> Outcome:
        # An empty initial response says nothing: such a client is asked.
        said = sasl.plain(await _first(None if initial == b"=" else initial, ask))
        if said.identity and said.identity.lower() != said.user.lower():
            return Denied(Denial.OTHER_IDENTITY, said.user)
        return await self.password(channel, said.user, said.password)

    async def _login(self, initial: bytes | None, channel: Channel, ask: Ask) -> Outcome:
        user = sasl.text(sasl.decode(initial or await ask(sasl.encode(b"Username:"))))
        password = sasl.text(sasl.decode(await ask(sasl.encode(b"Password:"))))
        return await self.password(channel, user, password)

    async def _scram_plain(self, initial: bytes | None, channel: Channel, ask: Ask) -> Outcome:
        return await self._scram_exchange(False, initial, channel, ask)

    async def _scram_plus(self, initial: bytes | None, channel: Channel, ask: Ask) -> Outcome:
        return await self._scram_exchange(True, initial, channel, ask)

    async def _scram_exchange(self, plus: bool, initial: bytes | None, channel: Channel, ask: Ask) -> Outcome:
        exchange = Exchange(
            plus=plus,
            plus_offered=channel.offers_plus and self._scram.offered,
            bindings=channel.bindings,
            nonce=secrets.token_urlsafe(18),
        )
        user = ""
        try:
            user, identity = exchange.first(await _first(initial, ask))
            if identity and identity.lower() != user.lower():
                return Denied(Denial.OTHER_IDENTITY, user)
            await self._limits.wait_turn(channel.peer, user)
            known = await self._scram.look_up(user)
            final = sasl.decode(await ask(sasl.encode(exchange.challenge(known.salt, ITERATIONS))))
            proof, chosen = exchange.final(final, known.candidates)
        except Unproved as problem:
            return self._failed(channel, user, str(problem))
        # None of the three protocols has room for our proof in its last answer.
        sasl.decode(await ask(sasl.encode(proof)))
        if known.record is None or self._directory.revocations(known.key) != known.revocations:
            return self._failed(channel, user, "revoked")
        return self._proved(channel, user, Login(known.record, known.devices[chosen]), by_password=True)

    async def _oauthbearer(self, initial: bytes | None, channel: Channel, ask: Ask) -> Outcome:
        said = sasl.oauthbearer(await _first(initial, ask))

        def error(settings: OAuthSettings, status: str) -> bytes:
            return sasl.bearer_error(status, settings.scope, settings.discovery)

        return await self._bearer(said, channel, ask, error)

    async def _xoauth2(self, initial: bytes | None, channel: Channel, ask: Ask) -> Outcome:
        said = sasl.xoauth2(await _first(initial, ask))
        return await self._bearer(said, channel, ask, lambda settings, _: sasl.xoauth2_error(settings.scope))

    async def _external(self, initial: bytes | None, channel: Channel, ask: Ask) -> Outcome:
        """RFC 4422 A: the client says at most whom it acts as; TLS has proved the rest."""
        identity = sasl.text(await _first(initial, ask))
        assert self.certificates is not None
        assert channel.certificate is not None
        await self._limits.wait_turn(channel.peer, identity)
        record = await self.certificates.owner(channel.certificate, identity)
        if record is None:
            return self._failed(channel, identity, "certificate")
        return self._proved(channel, identity, Login(record))

    async def _bearer(self, said: Bearer, channel: Channel, ask: Ask, error: Callable[[OAuthSettings, str], bytes]) -> Outcome:
        tokens, user = self.tokens, said.user or ""
        assert tokens is not None
        await self._limits.wait_turn(channel.peer, user)
        try:
            record = await self._owner(tokens, said)
        except Unavailable as problem:
            return Denied(Denial.BUSY, user, str(problem))
        except Refused as problem:
            denied = self._failed(channel, user, str(problem))
            await _refuse(ask, error(tokens.settings, problem.status))
            return denied
        return self._proved(channel, user, Login(record))

    async def _owner(self, tokens: Tokens, said: Bearer) -> AccountRecord:
        """The account of a token, which is the one that the client named. Raises Refused, Unavailable."""
        if not said.token:
            raise Refused("no token")
        record = await self._directory.account(await tokens.account(said.token))
        if record is None or record.disabled:
            raise Refused("no account")
        if said.user is not None and said.user.casefold() != record.address:
            named = await self._directory.account(said.user)
            # The record is read again, last of all: it may have been switched off meanwhile.
            record = await self._directory.account(record.address)
            if named is None or record is None or record.disabled or named.address != record.address:
                raise Refused("another account")
        return record


async def _refuse(ask: Ask, error: bytes) -> None:
    """RFC 7628 3.2.3: the client answers the error with one octet that says nothing; only then the exchange fails."""
    try:
        sasl.decode(await ask(sasl.encode(error)))
    except SyntaxProblem:
        pass


async def _first(initial: bytes | None, ask: Ask) -> bytes:
    """The first message of a mechanism in which the client speaks first."""
    return sasl.decode_initial(initial) if initial is not None else sasl.decode(await ask(b""))
