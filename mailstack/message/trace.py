"""The header fields that a server puts in front (RFC 5321 4.4)."""

import re
from email.utils import formatdate

from mailstack.message.address import Address

_RECEIVED = re.compile(rb"\nreceived[ \t]*:", re.IGNORECASE)
_UNSAFE = re.compile(r"[^\x21-\x7e]|[()<>;]")


def return_path(sender: Address | None) -> bytes:
    """The envelope's sender, in front of all others at the final delivery."""
    return f"Return-Path: <{sender if sender is not None else ''}>\r\n".encode()


def received_field(
    *,
    helo: str,
    peer: str,
    peer_name: str | None,
    host: str,
    protocol: str,
    id: str,
    moment: float,
    recipient: Address | None = None,
    tls: str | None = None,
    show_peer: bool = True,
) -> bytes:
    """One Received field. `recipient` only where there is one: with several it would tell of Bcc."""
    client = _UNSAFE.sub("?", helo)[:255] or "unknown"
    literal = f"[IPv6:{peer}]" if ":" in peer else f"[{peer}]"
    source = f"({_UNSAFE.sub('?', peer_name)} {literal})" if peer_name else f"({literal})"
    lines = [f"Received: from {client} {source}" if show_peer else f"Received: from {client}"]
    if tls:
        lines.append(f"\t(using {_UNSAFE.sub('?', tls)})")
    lines.append(f"\tby {host} with {protocol} id {id}")
    if recipient is not None:
        lines.append(f"\tfor <{recipient}>")
    return ("\r\n".join(lines) + f"; {formatdate(moment)}\r\n").encode()


def count_received(header: bytes) -> int:
    """How many hosts a message has passed."""
    return len(_RECEIVED.findall(b"\n" + header))
