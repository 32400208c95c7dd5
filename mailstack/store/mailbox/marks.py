"""`.mailstack`: what a mailbox must never forget, beside its messages.

Rule: a UID or MODSEQ is used only below its mark, and marks only rise. After the loss of the index both go on at the mark.
"""

import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import orjson

from mailstack.store.disk import Disk
from mailstack.store.mailbox.values import SpecialUse

FILE = ".mailstack"
_USES = frozenset(use.value for use in SpecialUse)
BLOCK = 1000


@dataclass(frozen=True, slots=True)
class Marks:
    """A mailbox's identity, and the first UID and MODSEQ that were surely never given."""

    uid_validity: int
    id: str
    special_use: str | None = None
    uid_mark: int = 1 + BLOCK
    modseq_mark: int = 1 + BLOCK

    def raised(self, uid_next: int, modseq: int) -> "Marks | None":
        """Marks that allow everything below `uid_next` and up to `modseq`; None when these do."""
        if uid_next <= self.uid_mark and modseq < self.modseq_mark:
            return None
        return replace(
            self,
            uid_mark=max(self.uid_mark, uid_next + BLOCK) if uid_next > self.uid_mark else self.uid_mark,
            modseq_mark=max(self.modseq_mark, modseq + 1 + BLOCK) if modseq >= self.modseq_mark else self.modseq_mark,
        )


def with_use(marks: Marks, special_use: SpecialUse | None) -> Marks:
    return replace(marks, special_use=special_use.value if special_use is not None else None)


def read(folder: Path) -> Marks | None:
    """The marks of a folder, None when there are none or they make no sense."""
    try:
        value = orjson.loads((folder / FILE).read_bytes())
        return Marks(
            uid_validity=int(value["uid_validity"]),
            id=str(value["id"]),
            special_use=value.get("special_use") if value.get("special_use") in _USES else None,
            uid_mark=int(value["uid_mark"]),
            modseq_mark=int(value["modseq_mark"]),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def write(disk: Disk, folder: Path, marks: Marks) -> None:
    """Durable when it returns."""
    disk.replace_file(folder / FILE, orjson.dumps(asdict(marks)) + b"\n")


def next_uid_validity(disk: Disk, account: Path, randomness: random.Random, known: int) -> int:
    """A UIDVALIDITY above all that the account ever had (its mailboxes have up to `known`); it is kept in `uidvalidity`."""
    path = account / "uidvalidity"
    try:
        highest = int(path.read_text())
    except (FileNotFoundError, ValueError):
        # An account that is removed and made again must not meet its clients with the old numbers.
        highest = randomness.randrange(1 << 20, 1 << 30)
    highest = max(highest, known)
    disk.replace_file(path, f"{highest + 1}\n".encode())
    return highest + 1
