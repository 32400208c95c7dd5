"""Traefik's acme.json: the certificates that it holds. Pure."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography import x509

from mailstack.message.errors import SyntaxProblem
from mailstack.net.tls import names_of


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate with its chain and its key, PEM."""

    names: tuple[str, ...]
    certificate: bytes
    key: bytes


def parse(data: bytes) -> list[Held]:
    """All of every resolver (version 2 and 3), or of the one (version 1), the newest first. Raises SyntaxProblem."""
    try:
        found = orjson.loads(data)
        held = [(_moment(one.certificate), one) for one in _all(found)]
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error):
        raise SyntaxProblem("no acme.json of Traefik, or only a part of it") from None
    return [one for _, one in sorted(held, key=lambda pair: pair[0], reverse=True)]


def _all(found: Any) -> Iterator[Held]:
    for resolver in [found] if "Certificates" in found else found.values():
        for one in resolver.get("Certificates") or []:
            plain = {key.lower(): value for key, value in one.items()}
            certificate, key = (base64.b64decode(plain[name], validate=True) for name in ("certificate", "key"))
            yield Held(names_of(x509.load_pem_x509_certificate(certificate)), certificate, key)


def _moment(certificate: bytes) -> float:
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc.timestamp()


def ours(held: list[Held], hostname: str, domains: frozenset[str]) -> list[Held]:
    """Those for this host and for its domains, the host's first; of several for a name the newest. [] without the host's."""
    found: list[Held] = []
    for one in sorted(held, key=lambda one: not _has(one, hostname)):
        known = {name for other in found for name in other.names}
        if not set(one.names) <= known and any(_belongs(name, hostname, domains) for name in one.names):
            found.append(one)
    return found if found and _has(found[0], hostname) else []


def _has(one: Held, name: str) -> bool:
    return name in one.names or f"*.{name.partition('.')[2]}" in one.names


def _belongs(name: str, hostname: str, domains: frozenset[str]) -> bool:
    plain = name.removeprefix("*.")
    within = any(plain == domain or plain.endswith(f".{domain}") for domain in domains)
    return within or name in (hostname, f"*.{hostname.partition('.')[2]}")
