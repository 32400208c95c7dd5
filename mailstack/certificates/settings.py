"""What an admin says of certificates from an authority."""

import enum
import ssl
from dataclasses import dataclass

from mailstack.net.acme_values import Binding
from mailstack.net.dns_update import Updater


class Control(enum.StrEnum):
    """How an authority is shown that a name is ours (RFC 8555 8, RFC 8737)."""

    HTTP = "http-01"
    ALPN = "tls-alpn-01"
    DNS = "dns-01"


@dataclass(frozen=True, slots=True)
class AcmeSettings:
    """`names`: empty means those that are found. `controls`: the ways that may be tried, the first one first."""

    directory: str
    contact: tuple[str, ...]
    names: tuple[str, ...]
    controls: tuple[Control, ...]
    context: ssl.SSLContext
    binding: Binding | None
    updater: Updater | None
    hook: tuple[str, ...]
    reuse_key: bool
    addresses: tuple[str, ...]  # public ones of this host; empty: those of its name
