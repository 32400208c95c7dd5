"""Settings for Thunderbird and K-9 on Android: what its camera reads as "Export for Mobile" (format version 1)."""

import json

from mailstack.wire.client_settings import ClientSettings, Kind, Security, Service

_KINDS = {Kind.IMAP: 0, Kind.POP3: 1, Kind.SMTP: 0}
_SECURITY = {Security.NONE: 0, Security.STARTTLS: 2, Security.TLS: 3}
_PASSWORD = 1  # in clear, inside TLS


def write(settings: ClientSettings, address: str, name: str, password: str) -> str | None:
    """What the code holds; None where mail can't be both read and sent, or the address is not ASCII, which the format wants."""
    incoming = settings.best(Kind.IMAP) or settings.best(Kind.POP3)
    outgoing = settings.best(Kind.SMTP)
    if incoming is None or outgoing is None or not address.isascii():
        return None
    account = [
        [*_server(incoming, address), "", password],
        [[[*_server(outgoing, address), password], [address, name]]],
    ]
    return json.dumps([1, [1, 1], *account], separators=(",", ":"), ensure_ascii=False)


def _server(one: Service, address: str) -> list[object]:
    return [_KINDS[one.kind], one.host, one.port, _SECURITY[one.security], _PASSWORD, address]
