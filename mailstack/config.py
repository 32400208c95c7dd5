"""Every setting: TOML file, environment, defaults. Only app.py and the commands read it.

What would fail later is refused here, with file, key and reason, so that a server that starts has settings that make sense.
"""

import ipaddress
import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, get_type_hints
from urllib.parse import urlsplit

import msgspec

from mailstack.message.address import parse_address
from mailstack.message.errors import SyntaxProblem

_SIZE = re.compile(r"([0-9]+)\s*(B|KiB|MiB|GiB|TiB)?")
_DURATION = re.compile(r"([0-9]+)\s*(ms|s|m|h|d)")
_UNITS = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LISTENER = re.compile(r"(\[[0-9A-Fa-f:.]*\]|[^:\[\]]+):([0-9]{1,5})")
SOCKET_NAME_LIMIT = 107  # octets of a path that the system takes for a socket
FIXED = frozenset({"hostname", "data_dir", "listen", "tls.mode", "database", "store", "search"})  # keep_fixed()
DEFAULT_PATH = "/etc/mailstack/mailstack.toml"
SERVICES = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "http")
TLS_SERVICES = ("submissions", "imaps", "pop3s")


class ConfigProblem(Exception):
    """One line for the admin: file, key and reason."""


def size(text: str) -> int:
    """ "50MiB" in octets. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a size like 50MiB")
    return int(found[1]) * _UNITS[found[2]]


def duration(text: str) -> float:
    """ "5m" in seconds. Raises ValueError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a duration like 5m, 4h or 5d")
    return float(int(found[1]) * _SECONDS[found[2]])


class Listen(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    smtp: list[str] = msgspec.field(default_factory=lambda: ["[::]:25"])
    submission: list[str] = msgspec.field(default_factory=lambda: ["[::]:587"])
    submissions: list[str] = msgspec.field(default_factory=lambda: ["[::]:465"])
    imap: list[str] = msgspec.field(default_factory=lambda: ["[::]:143"])
    imaps: list[str] = msgspec.field(default_factory=lambda: ["[::]:993"])
    pop3: list[str] = []
    pop3s: list[str] = []
    http: list[str] = msgspec.field(default_factory=lambda: ["[::]:80"])


class Tls(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    mode: str = "self-signed"
    certificate: str = ""
    key: str = ""


class Auth(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    allow_plaintext: bool = False
    scram: str = "auto"


class Oauth(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    issuer: str = ""
    jwks: str = ""
    introspection: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    audience: str = ""
    scope: str = ""
    claim: str = "email"

    @property
    def on(self) -> bool:
        return bool(self.issuer or self.jwks or self.introspection)


class Database(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    url: str = ""


class Dns(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    nameservers: list[str] = []


class Relay(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    smarthost: str = ""
    smarthost_password_file: str = ""
    mx_port: int = 25
    retry: list[str] = msgspec.field(default_factory=lambda: ["5m", "15m", "30m", "1h", "2h", "4h"])
    expire: str = "5d"
    source: list[str] = []
    ipv6: str = "auto"


class Store(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    index_dir: str = ""


class Sharing(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    anyone: bool = False


class Imap(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    urlauth: bool = False


class Search(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    index: bool = True
    delay: str = "2s"
    attachment_command: list[str] = []
    attachment_time: str = "10s"
    attachment_size: str = "20MiB"


class Limits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    message_size: str = "50MiB"
    connections_per_address: int = 50
    recipients: int = 1000
    messages: int = 0
    connections: int = 10000
    imap_messages: int = 0
    imap_copies: int = 0
    imap_progress: str = "10s"


class Log(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    format: str = "auto"
    level: str = "info"


class Config(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    hostname: str = "localhost"
    data_dir: str = "/var/lib/mailstack"
    postmaster: str = ""
    listen: Listen = Listen()
    tls: Tls = Tls()
    auth: Auth = Auth()
    oauth: Oauth = Oauth()
    database: Database = Database()
    dns: Dns = Dns()
    relay: Relay = Relay()
    store: Store = Store()
    sharing: Sharing = Sharing()
    imap: Imap = Imap()
    search: Search = Search()
    limits: Limits = Limits()
    log: Log = Log()

    @property
    def data(self) -> Path:
        return Path(self.data_dir)

    def listeners(self) -> list[tuple[str, str]]:
        """(service, "address:port") of every door that is to be opened."""
        services = [name for name in SERVICES if self.tls.mode != "off" or name not in TLS_SERVICES]
        return [(name, text) for name in services for text in getattr(self.listen, name)]


# What each setting means: the commented default file is made from this.
MEANINGS: dict[str, str] = {
    "hostname": "the name of this host as others see it: it must resolve to this machine, and its address back to it",
    "data_dir": "where mail, queue, users and keys live",
    "postmaster": "who gets mail for postmaster@ and abuse@ of every domain",
    "listen": 'lists of "address:port"; [] turns one off; "[::]" means both families',
    "listen.smtp": "mail from other hosts",
    "listen.submission": "mail from users, STARTTLS",
    "listen.submissions": "mail from users, TLS from the first byte on",
    "listen.imap": "mailboxes, STARTTLS",
    "listen.imaps": "mailboxes, TLS from the first byte on",
    "listen.pop3": 'INBOX for clients that fetch and remove, STARTTLS; "[::]:110"',
    "listen.pop3s": 'the same, TLS from the first byte on; "[::]:995"',
    "listen.http": "/healthz",
    "tls.mode": '"files" with certificate and key, "self-signed", or "off"',
    "tls.certificate": "PEM file: the certificate and its chain",
    "tls.key": "PEM file: the private key",
    "auth.allow_plaintext": "let logins pass without TLS, from this machine only",
    "auth.scram": 'SCRAM-SHA-256: "auto": once every password can be used with it; "on"; "off": nothing is kept for it',
    "oauth": "logins with tokens of an identity provider (OAUTHBEARER, XOAUTH2)",
    "oauth.issuer": "whose tokens are taken: the URL under which /.well-known/openid-configuration is found",
    "oauth.jwks": "the provider's public keys, a file or an URL; empty: what the issuer's configuration names",
    "oauth.introspection": "where to ask about each token (RFC 7662); empty: tokens are signed (JWT)",
    "oauth.client_id": "this server's name at the provider, for introspection",
    "oauth.client_secret_file": "a file with its secret",
    "oauth.audience": "for whom tokens must be issued: one of aud, or azp or client_id",
    "oauth.scope": "what tokens must allow; empty: nothing special",
    "oauth.claim": "what in a token names the account's address",
    "database.url": "empty: SQLite in data_dir",
    "dns.nameservers": 'empty: those of the system; "address" or "address:port"',
    "relay.smarthost": '"smtp://user:password@host:587" or "smtps://...:465"; empty: deliver to MX hosts',
    "relay.smarthost_password_file": "the password, if it is not in the URL",
    "relay.mx_port": "the port of MX hosts",
    "relay.retry": "how long to wait after each failed attempt; the last one again and again",
    "relay.expire": "when to give up and tell the sender",
    "relay.source": "addresses of this host to send from",
    "relay.ipv6": '"auto": only where this host has a forward-confirmed PTR; "on"; "off"',
    "store.index_dir": "where indexes live; empty: beside the mail. A fast local disk helps when the mail is on a network",
    "sharing.anyone": "let users open mailboxes to `anyone`: to every account of this server, of all its domains",
    "imap.urlauth": "let users authorise URLs by which others fetch single messages of theirs; hardly a client does",
    "search.index": "keep a full-text index beside each account's own; without it each search reads the mails",
    "search.delay": "how long messages that came in wait for others, to be taken into the index together",
    "search.attachment_command": "a program and its arguments that makes text of attachments for the index; empty: none",
    "search.attachment_time": "how long it may take for one attachment",
    "search.attachment_size": "the largest attachment that it is given",
    "limits.message_size": "the largest message",
    "limits.connections_per_address": "connections from one address that have not logged in",
    "limits.recipients": "recipients of one message",
    "limits.messages": "messages in all mailboxes of one account; 0: as many as there is room for",
    "limits.connections": "all connections",
    "limits.imap_messages": "messages of one IMAP command (MESSAGELIMIT); 0: any number. Old clients then see the newest only",
    "limits.imap_copies": "messages that one IMAP COPY or APPEND takes (SAVELIMIT); 0: any number",
    "limits.imap_progress": "a longer IMAP command says this often how far it is",
    "log.format": '"json", "console" or "auto"',
    "log.level": '"debug", "info", "warning" or "error"',
}


def load(path: str | Path | None, environment: dict[str, str] | None = None) -> Config:
    """The configuration of a file (None: no file), changed by MAILSTACK_<SECTION>__<KEY>. Raises ConfigProblem."""
    environment = dict(os.environ) if environment is None else environment
    where = str(path) if path is not None else "environment"
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigProblem(f"{path}: there is no such file; make one: mailstack quickstart you@example.org") from None
        except OSError as problem:
            raise ConfigProblem(f"{path}: can't be read: {problem.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise ConfigProblem(f"{path}: not TOML: {problem}") from None
    overridden: dict[str, str] = {}  # key -> the variable that set it
    for name, text in environment.items():
        if name.startswith("MAILSTACK_") and name != "MAILSTACK_CONFIG":
            key = _override(values, name, text)
            if key is not None:
                overridden[key] = name

    def refuse(key: str, reason: str) -> NoReturn:
        variable = overridden.get(key.partition("[")[0])
        raise ConfigProblem(f"environment: {variable}: {reason}" if variable else f"{where}: {key}: {reason}")

    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as problem:
        refuse(*_words(str(problem)))
    check(config, refuse)
    return config


def _override(values: dict[str, Any], name: str, text: str) -> str | None:
    """Set what a variable says; the key that it set. Variables without a section that name no setting are others' business."""
    section, found, key = name.removeprefix("MAILSTACK_").lower().partition("__")
    fields = get_type_hints(Config)
    if not found:
        if section in fields and not hasattr(fields[section], "__struct_fields__"):
            values[section] = text
            return section
        return None
    kind = fields.get(section)
    if kind is None or not hasattr(kind, "__struct_fields__") or key not in kind.__struct_fields__:
        raise ConfigProblem(f"environment: {name}: there is no such setting")
    wanted = get_type_hints(kind)[key]
    value: Any = text
    if wanted is int:
        if not re.fullmatch("-?[0-9]{1,18}", text):
            raise ConfigProblem(f"environment: {name}: a number is needed, not {text!r}")
        value = int(text)
    elif wanted is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ConfigProblem(f"environment: {name}: true or false is needed, not {text!r}")
        value = text.lower() in ("true", "1")
    elif wanted == list[str]:
        value = [piece.strip() for piece in text.split(",") if piece.strip()]
    table = values.setdefault(section, {})
    if not isinstance(table, dict):
        raise ConfigProblem(f"environment: {name}: the file has {section} as something else than a table")
    table[key] = value
    return f"{section}.{key}"


def _words(text: str) -> tuple[str, str]:
    """Key and reason of what the converter says."""
    found = re.fullmatch(r"Object contains unknown field `(.+?)`(?: - at `\$\.?(.*)`)?", text)
    if found:
        return f"{found[2] + '.' if found[2] else ''}{found[1]}", "there is no such setting"
    reason, _, place = text.partition(" - at ")
    return place.strip("`").removeprefix("$.") or "file", reason


def check(config: Config, refuse: Callable[[str, str], NoReturn]) -> None:
    """What types can't say. `refuse` raises with the key and the reason."""
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", config.hostname) or len(config.hostname) > 253:
        refuse("hostname", f"{config.hostname!r} is not a host name")
    if not config.data_dir or "\0" in config.data_dir:
        refuse("data_dir", "a folder is needed")
    if len(os.fsencode(config.data / "control.sock")) > SOCKET_NAME_LIMIT:
        refuse(
            "data_dir",
            f"longer than {SOCKET_NAME_LIMIT - len('/control.sock')} octets: there is no room for the control socket",
        )
    if config.postmaster:
        try:
            parse_address(config.postmaster)
        except SyntaxProblem as problem:
            refuse("postmaster", f"{config.postmaster!r} is not an address: {problem.reason}")
    for name in SERVICES:
        for text in getattr(config.listen, name):
            found = _LISTENER.fullmatch(text)
            if found is None or int(found[2]) > 65535:
                refuse(f"listen.{name}", f'{text!r} is not "address:port"')
    _one_of(config.tls.mode, ("files", "self-signed", "off"), "tls.mode", refuse)
    if config.tls.mode == "files":
        for name in ("certificate", "key"):
            if not getattr(config.tls, name):
                refuse(f"tls.{name}", 'tls.mode = "files" needs it')
    if config.oauth.on:
        _check_oauth(config.oauth, refuse)
    _one_of(config.auth.scram, ("auto", "on", "off"), "auth.scram", refuse)
    if config.database.url:
        refuse("database.url", "only SQLite in data_dir is built; leave it empty")
    for text in config.dns.nameservers:
        if not _nameserver(text):
            refuse("dns.nameservers", f'{text!r} is not "address" or "address:port"')
    _check_relay(config.relay, refuse)
    _positive("search.delay", [config.search.delay], duration, refuse)
    _positive("search.attachment_time", [config.search.attachment_time], duration, refuse)
    _positive("search.attachment_size", [config.search.attachment_size], size, refuse)
    _one_of(config.log.format, ("auto", "json", "console"), "log.format", refuse)
    _one_of(config.log.level, ("debug", "info", "warning", "error"), "log.level", refuse)
    _positive("limits.message_size", [config.limits.message_size], size, refuse)
    for name in ("connections_per_address", "recipients", "connections"):
        if getattr(config.limits, name) < 1:
            refuse(f"limits.{name}", "must be at least 1")
    for name in ("messages", "imap_messages", "imap_copies"):
        if getattr(config.limits, name) < 0:
            refuse(f"limits.{name}", "must not be negative")
    _positive("limits.imap_progress", [config.limits.imap_progress], duration, refuse)


def _check_relay(relay: Relay, refuse: Callable[[str, str], NoReturn]) -> None:
    if relay.smarthost:
        _check_smarthost(relay, refuse)
    if not 0 < relay.mx_port < 65536:
        refuse("relay.mx_port", f"{relay.mx_port} is not a port")
    if not relay.retry:
        refuse("relay.retry", "at least one duration is needed")
    _positive("relay.retry", relay.retry, duration, refuse)
    _positive("relay.expire", [relay.expire], duration, refuse)
    for text in relay.source:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            refuse("relay.source", f"{text!r} is not an address of this host, like 192.0.2.1")
    _one_of(relay.ipv6, ("auto", "on", "off"), "relay.ipv6", refuse)


def _check_oauth(oauth: Oauth, refuse: Callable[[str, str], NoReturn]) -> None:
    for name in ("issuer", "jwks", "introspection"):
        text = getattr(oauth, name)
        if text and not (name == "jwks" and text.startswith("/")) and not _is_safe_url(text):
            refuse(f"oauth.{name}", f"{text!r} is not an https:// URL; http:// is good for this machine alone")
    if not oauth.audience:
        # Else a token that was issued for any other service would open a mailbox.
        refuse("oauth.audience", "is needed: for whom tokens must be issued")
    if oauth.introspection and not (oauth.client_id and oauth.client_secret_file):
        refuse("oauth.introspection", "needs oauth.client_id and oauth.client_secret_file")
    if not oauth.introspection and not oauth.issuer:
        refuse("oauth.issuer", "is needed: whose signed tokens are taken")


def _is_safe_url(text: str) -> bool:
    """https, or http to this machine itself."""
    try:
        parts = urlsplit(text)
        known = bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        return False
    if not known or not re.fullmatch(r"[!-~]+", text):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname or ""))


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_smarthost(relay: Relay, refuse: Callable[[str, str], NoReturn]) -> None:
    """The URL holds a password: it is never shown."""
    try:
        parts = urlsplit(relay.smarthost)
        good = parts.scheme in ("smtp", "smtps") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
        parts = urlsplit("")
    if not good or parts.path.strip("/") or parts.query or parts.fragment:
        refuse("relay.smarthost", "not smtp://[user:password@]host[:port] or smtps://...; write odd characters as %XX")
    if parts.username and not parts.password and not relay.smarthost_password_file:
        refuse("relay.smarthost", "a user without a password: put it in the URL or in relay.smarthost_password_file")


def _one_of(value: str, allowed: tuple[str, ...], key: str, refuse: Callable[[str, str], NoReturn]) -> None:
    if value not in allowed:
        refuse(key, f"{value!r} is not one of " + ", ".join(f'"{one}"' for one in allowed))


def _positive(key: str, texts: list[str], reader: Callable[[str], float], refuse: Callable[[str, str], NoReturn]) -> None:
    for text in texts:
        try:
            value = reader(text)
        except ValueError as problem:
            refuse(key, str(problem))
        if value <= 0:
            refuse(key, f"{text!r}: more than nothing is needed")


def _nameserver(text: str) -> bool:
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        ipaddress.ip_address(host)
        return not port or 0 < int(port) < 65536
    except ValueError:
        return False


def changed(old: Config, new: Config) -> list[str]:
    """The keys that differ: "relay.expire", and "listen.smtp"."""
    found = []
    for name in Config.__struct_fields__:
        before, after = getattr(old, name), getattr(new, name)
        if hasattr(before, "__struct_fields__"):
            found += [f"{name}.{key}" for key in before.__struct_fields__ if getattr(before, key) != getattr(after, key)]
        elif before != after:
            found.append(name)
    return found


def keep_fixed(old: Config, new: Config) -> Config:
    """`new`, with what only a restart can change as it is in `old`: sockets, and where and whose the data is."""
    return msgspec.structs.replace(
        new,
        hostname=old.hostname,
        data_dir=old.data_dir,
        listen=old.listen,
        tls=new.tls if new.tls.mode == old.tls.mode else old.tls,
        database=old.database,
        store=old.store,
        search=old.search,
    )


def render(config: Config | None = None) -> str:
    """The commented file: every setting with its meaning; those that are not the default are set."""
    config = config or Config()
    plain = Config()
    lines = ["# mailstack: every setting with its meaning. A line that begins with # shows the default."]

    def put(prefix: str, struct: Any, default: Any) -> None:
        for name in struct.__struct_fields__:
            value = getattr(struct, name)
            if hasattr(value, "__struct_fields__"):
                continue
            shown = _toml(value)
            sign = "" if value != getattr(default, name) else "# "
            lines.extend((f"# {MEANINGS[prefix + name]}", f"{sign}{name} = {shown}"))

    put("", config, plain)
    for name in Config.__struct_fields__:
        value = getattr(config, name)
        if hasattr(value, "__struct_fields__"):
            lines.append("")
            if name in MEANINGS:
                lines.append(f"# {MEANINGS[name]}")
            lines.append(f"[{name}]")
            put(f"{name}.", value, getattr(plain, name))
    return "\n".join(lines) + "\n"


def document() -> str:
    """docs/configuration.md: every setting in tables."""
    lines = [
        "# Settings",
        "",
        "`mailstack config` prints a file with every setting, its meaning and its default, which is also in",
        "[etc/mailstack.toml](../etc/mailstack.toml). A key that is not known is an error, and so is a value that makes no",
        "sense: the server names file, key and reason, and does not start.",
        "",
        "In the environment `MAILSTACK_<SECTION>__<KEY>` overrides a setting (`MAILSTACK_LIMITS__RECIPIENTS=100`, and",
        "`MAILSTACK_HOSTNAME` for those without a section); lists are separated by commas.",
        "",
        "Sizes are written 50MiB or 5GiB, durations 30s, 5m, 4h or 5d. On SIGHUP (`systemctl reload mailstack`) the file is",
        "read again, and the log says what changed. Settings marked with * need a restart. A password is better kept in",
        "`relay.smarthost_password_file` than in a URL here.",
    ]

    def table(prefix: str, struct: Any) -> None:
        lines.extend(("", "| setting | default | meaning |", "|---|---|---|"))
        for name in struct.__struct_fields__:
            value = getattr(struct, name)
            if not hasattr(value, "__struct_fields__"):
                mark = " *" if {prefix + name, prefix.rstrip(".")} & FIXED else ""
                lines.append(f"| `{prefix}{name}`{mark} | `{_toml(value)}` | {MEANINGS[prefix + name]} |")

    plain = Config()
    table("", plain)
    for name in Config.__struct_fields__:
        value = getattr(plain, name)
        if hasattr(value, "__struct_fields__"):
            lines.extend(("", f"## [{name}]"))
            if name in MEANINGS:
                lines.extend(("", MEANINGS[name]))
            table(f"{name}.", value)
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
