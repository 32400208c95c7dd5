"""What mail programs are told of this server: the doors that listen, by the names and ports at which others reach them."""

from collections.abc import Mapping, Sequence

from mailstack.config import TLS_SERVICES, Config
from mailstack.wire.client_settings import ClientSettings, Kind, Security, Service

_DOORS = (
    ("imaps", Kind.IMAP),
    ("imap", Kind.IMAP),
    ("pop3s", Kind.POP3),
    ("pop3", Kind.POP3),
    ("submissions", Kind.SMTP),
    ("submission", Kind.SMTP),
    ("managesieve", Kind.SIEVE),
)  # TLS from the first octet on before STARTTLS (RFC 8314 3)


def client_settings(config: Config, ports: Mapping[str, Sequence[int]] | None = None) -> ClientSettings:
    """`ports`: those that the server opened; None: what the configuration says."""
    reached = _reached(config, ports)
    tls = config.tls.mode != "off"
    host = config.clients.host or config.hostname
    services = tuple(Service(kind, host, reached[name], _security(name, tls)) for name, kind in _DOORS if name in reached)
    return ClientSettings(host, services, _mechanisms(config), _web(host, reached))


def _reached(config: Config, ports: Mapping[str, Sequence[int]] | None) -> dict[str, int]:
    """The port of each service that listens, as others see it."""
    found: dict[str, int] = {}
    for name, text in config.listeners():
        found.setdefault(name, int(text.rpartition(":")[2]))
    if ports is not None:
        found = {name: numbers[0] for name, numbers in ports.items() if numbers}
    outside = dict(text.split(":") for text in config.clients.ports)
    return {name: int(outside.get(name, port)) for name, port in found.items()}


def _security(name: str, tls: bool) -> Security:
    if not tls:
        return Security.NONE
    return Security.TLS if name in TLS_SERVICES else Security.STARTTLS


def _mechanisms(config: Config) -> tuple[str, ...]:
    found = ["PLAIN", "LOGIN"]
    if config.auth.scram == "on":
        found.append("SCRAM-SHA-256")
    if config.oauth.on:
        found += ["OAUTHBEARER", "XOAUTH2"]
    if config.auth.client_certificates:
        found.append("EXTERNAL")
    return tuple(found)


def _web(host: str, reached: Mapping[str, int]) -> str | None:
    for name, scheme, ordinary in (("https", "https", 443), ("http", "http", 80)):
        if name in reached:
            return f"{scheme}://{host}" + (f":{reached[name]}" if reached[name] != ordinary else "")
    return None
