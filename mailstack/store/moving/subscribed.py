"""To what the user of another server subscribed: Dovecot's `subscriptions` (versions 1 and 2), Courier's."""

from pathlib import Path

from mailstack.store.mailbox.foldername import INBOX
from mailstack.store.moving.names import of_folder


def parse_dovecot(data: bytes, *, separator: bytes = b".") -> frozenset[str]:
    """Version 2 begins with `V\\t2`, and has the parts of a name with tabs between; version 1 has the layout's separator."""
    lines = data.split(b"\n")
    if lines[0] == b"V\t2":
        rows = [line.split(b"\t") for line in lines[1:] if line]
    else:
        rows = [line.split(separator) for line in lines if line]
    return frozenset(_name(row) for row in rows)


def parse_courier(data: bytes) -> frozenset[str]:
    """`INBOX.Sent`, a line each: all of Courier's folders are below INBOX, and ours are not."""
    rows = [line.split(b".") for line in data.split(b"\n") if line]
    return frozenset(_name(row[1:] if len(row) > 1 and row[0].upper() == b"INBOX" else row) for row in rows)


def _name(row: list[bytes]) -> str:
    return INBOX if len(row) == 1 and row[0].upper() == b"INBOX" else of_folder(row)


def read(root: Path, *, separator: bytes = b".") -> frozenset[str] | None:
    """None when nothing says it. Raises OSError."""
    for name in ("subscriptions", "courierimapsubscribed"):
        try:
            data = (root / name).read_bytes()
        except FileNotFoundError:
            continue
        return parse_courier(data) if name.startswith("courier") else parse_dovecot(data, separator=separator)
    return None
