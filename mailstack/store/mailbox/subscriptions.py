"""The names a user subscribed to: `subscriptions`, one folder a line, as Dovecot writes it for a Maildir."""

from pathlib import Path

from mailstack.store.disk import Disk
from mailstack.store.mailbox.foldername import INBOX, from_folder, to_folder

FILE = "subscriptions"


def read(root: Path) -> frozenset[str]:
    try:
        lines = (root / FILE).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return frozenset()
    found = set()
    for line in lines:
        name = INBOX if line.upper() == INBOX else from_folder(f".{line}")
        if name is not None:
            found.add(name)
    return frozenset(found)


def write(disk: Disk, root: Path, names: frozenset[str]) -> None:
    """Durable when it returns."""
    folders = sorted(INBOX if name == INBOX else to_folder(name)[1:] for name in names)
    disk.replace_file(root / FILE, "".join(f"{folder}\n" for folder in folders).encode())
