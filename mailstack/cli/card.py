"""The settings for mail programs, in a terminal: a card, and a code for a phone."""

import io
from typing import Any

from mailstack.wire.client_settings import ClientSettings, Kind, Security

NAMES = {Kind.IMAP: "IMAP", Kind.POP3: "POP3", Kind.SMTP: "SMTP", Kind.SIEVE: "Rules"}
SECURITY = {Security.TLS: "TLS", Security.STARTTLS: "STARTTLS", Security.NONE: "no TLS"}
NOTES = {Kind.SMTP: ", with login", Kind.SIEVE: ", ManageSieve"}


def card(settings: ClientSettings, title: str = "Settings for mail clients") -> list[str]:
    """A line for each kind of door."""
    lines = [title]
    for kind in NAMES:
        doors = settings.of(kind)
        if doors:
            ports = " or ".join(f"{one.port} ({SECURITY[one.security]})" for one in doors)
            lines.append(f"  {NAMES[kind]:<5}  {doors[0].host}  port {ports}{NOTES.get(kind, '')}")
    if settings.web is not None:
        lines.append(f"  Help   {settings.web}/setup")
    return lines


def code(text: str) -> str:
    """A QR code of half blocks, dark on light also where the terminal is dark."""
    import segno  # a tenth of a second, that no other command should wait

    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out, compact=True)
    return out.getvalue()


def device_card(made: dict[str, Any], settings: ClientSettings) -> list[str]:
    """What is typed into a new device."""
    return [
        *card(settings, f"{made['label']!r} for {made['address']}"),
        f"  User name  {made['address']}",
        f"  Password   {made['password']}   (shown this once, for this device alone)",
    ]
