"""Every setting: TOML file, environment, defaults. Only app.py and the commands read it."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

_SIZE = re.compile(r"([0-9]+)\s*(B|KiB|MiB|GiB|TiB)?")
_DURATION = re.compile(r"([0-9]+)\s*(s|m|h|d)")
_UNITS = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LISTENER = re.compile(r"(\[[0-9A-Fa-f:.]*\]|[^:\[\]]+):([0-9]{1,5})")
DEFAULT_PATH = "/etc/mailstack/mailstack.toml"


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
    http: list[str] = msgspec.field(default_factory=lambda: ["[::]:80"])


class Tls(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    mode: str = "self-signed"
    certificate: str = ""
    key: str = ""


class Auth(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    allow_plaintext: bool = False


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


class Limits(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    message_size: str = "50MiB"
    connections_per_address: int = 50
    recipients: int = 1000
    connections: int = 10000


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
    database: Database = Database()
    dns: Dns = Dns()
    relay: Relay = Relay()
    store: Store = Store()
    limits: Limits = Limits()
    log: Log = Log()

    @property
    def data(self) -> Path:
        return Path(self.data_dir)


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
    "listen.http": "/healthz",
    "tls.mode": '"files" with certificate and key, "self-signed", or "off"',
    "tls.certificate": "PEM file: the certificate and its chain",
    "tls.key": "PEM file: the private key",
    "auth.allow_plaintext": "let logins pass without TLS, from this machine only",
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
    "limits.message_size": "the largest message",
    "limits.connections_per_address": "connections from one address that have not logged in",
    "limits.recipients": "recipients of one message",
    "limits.connections": "all connections",
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
    for name, text in environment.items():
        if name.startswith("MAILSTACK_") and name not in ("MAILSTACK_CONFIG",):
            _override(values, name, text)
    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as problem:
        raise ConfigProblem(f"{where}: {_words(str(problem))}") from None
    check(config, where)
    return config


def _override(values: dict[str, Any], name: str, text: str) -> None:
    section, found, key = name.removeprefix("MAILSTACK_").lower().partition("__")
    fields = get_type_hints(Config)
    if not found:
        if section in fields and not hasattr(fields[section], "__struct_fields__"):
            values[section] = text
        return
    kind = fields.get(section)
    if kind is None or not hasattr(kind, "__struct_fields__") or key not in kind.__struct_fields__:
        raise ConfigProblem(f"environment: {name}: there is no such setting")
    wanted = get_type_hints(kind)[key]
    value: Any = text
    if wanted is int:
        if not text.isdigit():
            raise ConfigProblem(f"environment: {name}: a number is needed, not {text!r}")
        value = int(text)
    elif wanted is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ConfigProblem(f"environment: {name}: true or false is needed, not {text!r}")
        value = text.lower() in ("true", "1")
    elif wanted == list[str]:
        value = [piece.strip() for piece in text.split(",") if piece.strip()]
    values.setdefault(section, {})[key] = value


def _words(text: str) -> str:
    found = re.fullmatch(r"Object contains unknown field `(.+?)`(?: - at `\$\.?(.*)`)?", text)
    if found:
        return f"{found[2] + '.' if found[2] else ''}{found[1]}: there is no such setting"
    reason, _, place = text.partition(" - at ")
    return f"{place.strip('`').removeprefix('$.') or 'file'}: {reason}"


def check(config: Config, where: str) -> None:
    """What types can't say. Raises ConfigProblem."""

    def refuse(key: str, reason: str) -> None:
        raise ConfigProblem(f"{where}: {key}: {reason}")

    for name in Listen.__struct_fields__:
        for text in getattr(config.listen, name):
            found = _LISTENER.fullmatch(text)
            if found is None or int(found[2]) > 65535:
                refuse(f"listen.{name}", f'{text!r} is not "address:port"')
    if config.tls.mode not in ("files", "self-signed", "off"):
        refuse("tls.mode", f'{config.tls.mode!r} is not one of "files", "self-signed", "off"')
    if config.tls.mode == "files" and not (config.tls.certificate and config.tls.key):
        refuse("tls.mode", '"files" needs tls.certificate and tls.key')
    if config.database.url and not config.database.url.startswith("sqlite:"):
        refuse("database.url", "only SQLite is built; leave it empty")
    if config.relay.ipv6 not in ("auto", "on", "off"):
        refuse("relay.ipv6", f'{config.relay.ipv6!r} is not one of "auto", "on", "off"')
    if config.log.format not in ("auto", "json", "console"):
        refuse("log.format", f'{config.log.format!r} is not one of "auto", "json", "console"')
    if config.log.level not in ("debug", "info", "warning", "error"):
        refuse("log.level", f'{config.log.level!r} is not one of "debug", "info", "warning", "error"')
    if not config.relay.retry:
        refuse("relay.retry", "at least one duration is needed")
    for key, reader, texts in (
        ("limits.message_size", size, [config.limits.message_size]),
        ("relay.expire", duration, [config.relay.expire]),
        ("relay.retry", duration, config.relay.retry),
    ):
        for text in texts:
            try:
                reader(text)
            except ValueError as problem:
                refuse(key, str(problem))
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", config.hostname):
        refuse("hostname", f"{config.hostname!r} is not a host name")


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


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, int):
        return str(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
