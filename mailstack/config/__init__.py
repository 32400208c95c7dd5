"""Settings: TOML file, environment, defaults. Only the composition root and the commands read them."""

from mailstack.config.changes import FIXED, changed, keep_fixed
from mailstack.config.checks import SOCKET_NAME_LIMIT, check
from mailstack.config.loading import DEFAULT_PATH, ConfigProblem, load
from mailstack.config.meanings import MEANINGS
from mailstack.config.quantities import duration, size
from mailstack.config.rendering import document, render
from mailstack.config.settings import (
    SERVICES,
    TLS_SERVICES,
    Auth,
    Config,
    Database,
    Dkim,
    Dns,
    Imap,
    Limits,
    Listen,
    Log,
    MtaSts,
    Oauth,
    Proxy,
    Relay,
    Reports,
    Search,
    Sharing,
    Store,
    Tls,
    Trace,
)

__all__ = [
    "DEFAULT_PATH",
    "FIXED",
    "MEANINGS",
    "SERVICES",
    "SOCKET_NAME_LIMIT",
    "TLS_SERVICES",
    "Auth",
    "Config",
    "ConfigProblem",
    "Database",
    "Dkim",
    "Dns",
    "Imap",
    "Limits",
    "Listen",
    "Log",
    "MtaSts",
    "Oauth",
    "Proxy",
    "Relay",
    "Reports",
    "Search",
    "Sharing",
    "Store",
    "Tls",
    "Trace",
    "changed",
    "check",
    "document",
    "duration",
    "keep_fixed",
    "load",
    "render",
    "size",
]
