"""The settings that may change while the server runs, with the files that they name."""

from dataclasses import dataclass
from pathlib import Path

from mailstack.app.backing_up import BackupSettings
from mailstack.app.seeing_settings import SeeingSettings
from mailstack.app.surroundings import StartProblem
from mailstack.app.tls_settings import TlsSettings
from mailstack.config import Config, duration, size, weight
from mailstack.delivery.remote import RemoteSettings, parse_smarthost
from mailstack.delivery.runner import Schedule
from mailstack.mailauth.client_certificate import Authorities, parse_authorities
from mailstack.mailauth.dnslist import parse_list
from mailstack.message.address import normalise_domain
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.bans import BanSettings
from mailstack.policy.dmarc import AuthenticationSettings
from mailstack.policy.milters import MilterSettings
from mailstack.policy.networks import parse_network
from mailstack.policy.sending import SendingRules
from mailstack.policy.signs import SignSettings
from mailstack.policy.spam.rules import RULES
from mailstack.policy.spam.settings import SpamSettings
from mailstack.policy.tokens import OAuthSettings
from mailstack.store.fulltext.indexing import IndexSettings
from mailstack.store.fulltext.questions import Attachments
from mailstack.store.mailbox.graves import KeepDeleted
from mailstack.store.mailbox.searching import SearchSettings
from mailstack.store.sieve.scripts import ScriptLimits
from mailstack.store.users.scram import ScramMode
from mailstack.store.users.sending import Allowance
from mailstack.wire.mta_sts import own_policy


@dataclass(frozen=True, slots=True)
class SendingSettings:
    """How mail leaves; times in seconds."""

    key_overlap: float
    signature_valid: float | None
    defers_unaligned: bool
    dnssec: bool
    mta_sts: bool
    keeps_tls: bool

    @classmethod
    def of(cls, config: Config) -> "SendingSettings":
        return cls(
            key_overlap=duration(config.dkim.overlap),
            signature_valid=duration(config.dkim.valid) if config.dkim.valid else None,
            defers_unaligned=config.dkim.unaligned == "defer",
            dnssec=config.dns.dnssec,
            mta_sts=config.relay.mta_sts,
            keeps_tls=config.relay.downgrade == "defer",
        )


@dataclass(frozen=True, slots=True)
class ReportingSettings:
    """Which reports are taken in, and which are sent."""

    takes: bool
    sends_tls: bool
    sends_dmarc: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """What may change while the server runs, read whole before anything is touched: a bad file changes nothing."""

    message_size: int
    allow_plaintext: bool
    share_with_anyone: bool
    urlauth: bool
    scram: ScramMode
    oauth: OAuthSettings | None
    client_certificates: bool
    authorities: Authorities | None  # for people's certificates
    bans: BanSettings
    allowances: SendingRules
    recipients: int
    messages: int | None
    connections_per_address: int
    connections: int
    imap_messages: int | None
    imap_copies: int | None
    imap_progress: float  # seconds
    postmaster: str
    nameservers: tuple[str, ...]
    authentication: AuthenticationSettings
    remote: RemoteSettings
    schedule: Schedule
    sending: SendingSettings
    reporting: ReportingSettings
    backup: BackupSettings
    keep_deleted: KeepDeleted
    seeing: SeeingSettings
    web_texts: dict[str, bytes]  # by path
    subaddress: bool
    scripts: ScriptLimits
    redirects: int
    spam: SpamSettings
    milters: tuple[MilterSettings, MilterSettings]  # for mail from other hosts, and of users
    rejects: float | None  # seconds
    tls: TlsSettings

    @classmethod
    def of(cls, config: Config) -> "Settings":
        """Read the files that a configuration names too. Raises StartProblem with key and reason."""
        return cls(
            message_size=size(config.limits.message_size),
            allow_plaintext=config.auth.allow_plaintext or config.tls.mode == "off",
            share_with_anyone=config.sharing.anyone,
            urlauth=config.imap.urlauth,
            scram=ScramMode(config.auth.scram),
            oauth=_oauth_settings(config),
            client_certificates=config.auth.client_certificates,
            authorities=_authorities(config.auth.client_ca),
            bans=ban_settings(config),
            allowances=sending_rules(config),
            recipients=config.limits.recipients,
            messages=config.limits.messages or None,
            connections_per_address=config.limits.connections_per_address,
            connections=config.limits.connections,
            imap_messages=config.limits.imap_messages or None,
            imap_copies=config.limits.imap_messages or config.limits.imap_copies or None,
            imap_progress=duration(config.limits.imap_progress),
            postmaster=config.postmaster,
            nameservers=tuple(config.dns.nameservers),
            authentication=_authentication_settings(config),
            remote=_remote_settings(config),
            spam=spam_settings(config),
            milters=_milter_settings(config),
            rejects=duration(config.spam.rejects) if config.spam.rejects else None,
            schedule=Schedule([duration(text) for text in config.relay.retry], duration(config.relay.expire)),
            sending=SendingSettings.of(config),
            reporting=ReportingSettings(config.reports.take, config.reports.tls, config.reports.dmarc),
            backup=BackupSettings.of(config),
            keep_deleted=keep_deleted(config),
            seeing=SeeingSettings.of(config),
            web_texts=_web_texts(config),
            subaddress=config.rules.subaddress,
            scripts=ScriptLimits(size(config.rules.script_size), config.rules.scripts),
            redirects=config.rules.redirects,
            tls=TlsSettings.of(config),
        )


def _milter_settings(config: Config) -> tuple[MilterSettings, MilterSettings]:
    one = config.milter
    seconds, defers = duration(one.seconds), one.down == "tempfail"
    return MilterSettings(tuple(one.inbound), seconds, defers), MilterSettings(tuple(one.submission), seconds, defers)


def _authentication_settings(config: Config) -> AuthenticationSettings:
    settings = config.authentication
    sealers = frozenset(normalise_domain(text) for text in settings.trusted_sealers)
    return AuthenticationSettings(settings.check, settings.obey_dmarc, sealers)


def _web_texts(config: Config) -> dict[str, bytes]:
    policy = own_policy(config.mta_sts.mode, config.hostname, duration(config.mta_sts.max_age))
    return {} if policy is None else {"/.well-known/mta-sts.txt": str(policy).encode()}


def _oauth_settings(config: Config) -> OAuthSettings | None:
    oauth = config.oauth
    if not oauth.on:
        return None
    secret = _secret("oauth.client_secret_file", oauth.client_secret_file) if oauth.client_secret_file else ""
    return OAuthSettings(
        oauth.issuer, oauth.jwks, oauth.introspection, oauth.client_id, secret, oauth.audience, oauth.scope, oauth.claim
    )


def _authorities(path: str) -> Authorities | None:
    if not path:
        return None
    try:
        return parse_authorities(Path(path).read_bytes())
    except OSError as problem:
        raise StartProblem(f"auth.client_ca: {path}: can't be read: {problem.strerror}") from problem
    except SyntaxProblem as problem:
        raise StartProblem(f"auth.client_ca: {path}: {problem.reason}") from problem


def sending_rules(config: Config) -> SendingRules:
    one = config.sending
    account = Allowance(one.messages_per_hour, one.messages_per_day, one.new_recipients_per_day, one.recipients)
    domain = Allowance(one.domain_messages_per_hour, one.domain_messages_per_day, one.domain_new_recipients_per_day, 0)
    signs = SignSettings(one.stop_at_new_recipients, one.stop_at_refusals, one.stop_at_networks, one.stop_at_overruns)
    return SendingRules(account, domain, signs)


def ban_settings(config: Config) -> BanSettings:
    bans = config.bans
    exempt = tuple(parse_network(text) for text in bans.exempt)
    return BanSettings(bans.failures, bans.clients, duration(bans.window), duration(bans.first), duration(bans.longest), exempt)


def _secret(key: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8"
        raise StartProblem(f"{key}: {path}: can't be read: {reason}") from problem


def _remote_settings(config: Config) -> RemoteSettings:
    relay = config.relay
    password = None
    if relay.smarthost_password_file:
        password = _secret("relay.smarthost_password_file", relay.smarthost_password_file)
    smarthost = parse_smarthost(relay.smarthost, password)
    return RemoteSettings(config.hostname, relay.mx_port, smarthost, tuple(relay.source), relay.ipv6)


def keep_deleted(config: Config) -> KeepDeleted:
    store = config.store
    return KeepDeleted(duration(store.keep_deleted) if store.keep_deleted else None, size(store.deleted_size))


def search_settings(config: Config) -> SearchSettings:
    search = config.search
    attachments = None
    if search.attachment_command:
        attachments = Attachments(search.attachment_command, duration(search.attachment_time), size(search.attachment_size))
    return SearchSettings(IndexSettings(duration(search.delay), attachments) if search.index else None)


def spam_settings(config: Config) -> SpamSettings:
    """Raises StartProblem for a weight of a rule that is not there."""
    spam = config.spam
    weights = dict(weight(text) for text in spam.weights)
    known = {rule.name for rule in RULES} | {"bayes", "reputation", "rspamd"}
    for name in sorted(weights.keys() - known):
        raise StartProblem(f"spam.weights: there is no rule {name!r}; there are {', '.join(sorted(known))}")
    return SpamSettings(
        on=spam.judge,
        junk=spam.junk,
        refuse=spam.refuse or None,
        weights=weights,
        by_address=tuple(parse_list(text) for text in spam.lists),
        by_domain=tuple(parse_list(text) for text in spam.domain_lists),
        greylist=duration(spam.greylist) if spam.greylist else None,
        doubt=spam.doubt,
        seconds=duration(spam.seconds),
    )
