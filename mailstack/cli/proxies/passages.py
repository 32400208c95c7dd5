"""Which port of a proxy leads to which door of this instance, and which settings that needs here."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from mailstack.config import Config
from mailstack.wire.client_settings import ClientSettings

ORDINARY = {
    "smtp": 25,
    "submission": 587,
    "submissions": 465,
    "imap": 143,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
    "managesieve": 4190,
    "http": 80,
    "https": 443,
}
MOVED = 10_000  # a door whose port the proxy of the same machine takes is moved by so much
WEB_NAMES = ("autoconfig", "autodiscover", "mta-sts")


@dataclass(frozen=True, slots=True)
class Passage:
    """Through the proxy's `outside` port to `inside` of this server, at "host:port"."""

    service: str
    outside: int
    inside: str
    moved: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """`mail`: as octets, with a PROXY header in front. `web`: the http door, to which the proxy speaks HTTP; TLS ends there."""

    mail: tuple[Passage, ...]
    web: Passage | None
    https: Passage | None  # goes on to listen, beside the proxy's
    web_ports: dict[str, int]  # the proxy's, for http and https
    names: tuple[str, ...]  # of the web: this server's and its domains'
    proxy: str

    def settings(self, *, mail: bool = True) -> list[str]:
        """What the configuration must say, as TOML; without `mail`: its doors stay as they are."""
        passages = [*(self.mail if mail else ()), *([self.web] if self.web is not None else [])]
        beside = [self.https] if self.web is not None and self.https is not None else []
        moved = [one for one in (*passages, *beside) if one.moved]
        lines = []
        if moved:
            lines += ["[listen]", *(f'{one.service} = ["{one.inside}"]' for one in moved)]
        lines += ["[proxy]", f'trusted = ["{self.proxy}"]']
        if mail:
            lines.append("listeners = [" + ", ".join(f'"{one.service}"' for one in self.mail) + "]")
        ports = [f'"{one.service}:{one.outside}"' for one in passages if not one.inside.endswith(f":{one.outside}")]
        # The proxy has TLS at its own port, whatever listens here.
        ports += [f'"https:{self.web_ports["https"]}"'] if self.web is not None else []
        if ports:
            lines += ["[clients]", f"ports = [{', '.join(ports)}]"]
        return lines


def plan(config: Config, settings: ClientSettings, domains: Iterable[str], backend: str, proxy: str) -> Plan:
    """`backend`: the address at which the proxy finds this server; `proxy`: the one that it comes from."""
    outside = ORDINARY | {name: int(port) for name, port in (text.split(":") for text in config.clients.ports)}
    first: dict[str, str] = {}
    for name, text in config.listeners():
        first.setdefault(name, text)
    passages = {name: _passage(name, text, outside[name], backend) for name, text in first.items()}
    web = passages.pop("http", None)
    https = passages.pop("https", None)
    own = dict.fromkeys([settings.host, *(f"{label}.{one}" for one in domains for label in WEB_NAMES)])
    ports = {name: outside[name] for name in ("http", "https")}
    return Plan(tuple(passages.values()), web, https, ports, tuple(own), proxy)


def _passage(name: str, text: str, outside: int, backend: str) -> Passage:
    listening = int(text.rpartition(":")[2])
    moved = listening == outside and _is_here(backend)
    shown = f"[{backend}]" if ":" in backend else backend
    return Passage(name, outside, f"{shown}:{listening + MOVED if moved else listening}", moved)


def _is_here(backend: str) -> bool:
    try:
        return ipaddress.ip_address(backend).is_loopback
    except ValueError:
        return backend == "localhost"
