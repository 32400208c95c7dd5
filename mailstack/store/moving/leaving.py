"""An account as a home that Dovecot can serve: the same UIDs, flags, keywords, dates, subscriptions, Sieve scripts.

`<target>.part` counts for nothing; renamed to `<target>` it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mailstack.message.flag import to_letters
from mailstack.store.disk import Disk
from mailstack.store.errors import MessageGone
from mailstack.store.mailbox import keywords
from mailstack.store.mailbox.files import MailFiles
from mailstack.store.mailbox.foldername import INBOX, SEPARATOR
from mailstack.store.moving import modseq, uidlist
from mailstack.store.moving.errors import MoveProblem
from mailstack.store.moving.placing import Copier, linked
from mailstack.store.moving.survey import Told
from mailstack.store.moving.uidlist import UidList
from mailstack.store.sieve.files import file_of
from mailstack.wire.imap.mutf7 import encode

MAILDIR = "Maildir"
_GUID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Leaver:
    """A message: `path` below our Maildir, as the index has it."""

    uid: int
    path: bytes
    base: bytes
    flags: int
    fresh: bool
    date: int


@dataclass(frozen=True, slots=True)
class LeavingBox:
    """A mailbox as it stood at one instant."""

    name: str
    folder: str
    id: str
    uid_validity: int
    uid_next: int
    highest_modseq: int
    keywords: tuple[str | None, ...]
    messages: list[Leaver]


@dataclass(slots=True)
class Left:
    """What was written. `gone`: removed since the list was made."""

    messages: int = 0
    linked: int = 0
    gone: int = 0


class Leaving:
    """One account's. Blocking code; call folder() for each mailbox, then finish()."""

    def __init__(self, disk: Disk, source: Path, target: Path, *, links: bool, told: Told) -> None:
        self._disk = disk
        self._files = MailFiles(source)
        self._target = target
        self._part = target.with_name(target.name + ".part")
        self._links = links
        self._told = told
        self._copier = Copier(disk)
        self._folders: dict[str, int] = {}  # with their UIDVALIDITY
        self.left = Left()

    def begin(self) -> None:
        """Raises MoveProblem when the target is there already, OSError."""
        if os.path.lexists(self._target):
            raise MoveProblem(f"{self._target} is there already; name a place that is not")
        os.makedirs(self._part / MAILDIR, mode=0o700, exist_ok=True)

    def folder(self, box: LeavingBox) -> None:
        """Goes on where an earlier try was cut short. Raises MoveProblem, OSError."""
        place = self._part / MAILDIR / box.folder
        self._folders[box.folder] = box.uid_validity
        for made in (place, place / "cur", place / "new", place / "tmp"):
            with contextlib.suppress(FileExistsError):
                self._disk.mkdir(made)
        if box.folder:
            (place / "maildirfolder").touch(mode=0o600)
        there = {b"cur/" + name for name in os.listdir(os.fsencode(place / "cur"))}
        there |= {b"new/" + name for name in os.listdir(os.fsencode(place / "new"))}
        rows = []
        try:
            for message in box.messages:
                name = self._message(place, message, there)
                if name is not None:
                    there.discard(name)
                    rows.append((message.uid, message.base))
                self._told(1)
            self._copier.finish()
        finally:
            self._copier.close()
        for name in there:  # of an earlier try; changed since
            self._disk.unlink(os.fsencode(place) + b"/" + name)
        if any(box.keywords):
            keywords.write(self._disk, place, list(box.keywords))
        guid = box.id if _GUID.fullmatch(box.id) else hashlib.blake2b(box.id.encode(), digest_size=16).hexdigest()
        listed = uidlist.compose(UidList(box.uid_validity, box.uid_next, guid), rows)
        self._disk.replace_file(place / uidlist.DOVECOT, listed)
        log = modseq.first_log(box.highest_modseq + 1, int(guid[:7], 16) + 1, box.uid_validity & 0x7FFFFFFF)
        self._disk.replace_file(place / modseq.LOG, log)
        for made in (place / "cur", place / "new"):
            self._disk.sync_folder(made)

    def _message(self, place: Path, message: Leaver, there: set[bytes]) -> bytes | None:
        """Its name below the folder, None when it is gone."""
        letters = to_letters(message.flags).encode()
        name = b"new/" + message.base if message.fresh else b"cur/" + message.base + b":2," + letters
        if name not in there:
            try:
                self._place(message, os.fsencode(place) + b"/" + name, place / "tmp")
            except (FileNotFoundError, MessageGone):
                self.left.gone += 1
                return None
        self.left.messages += 1
        return name

    def _place(self, message: Leaver, target: bytes, beside: Path) -> None:
        path = message.path
        try:
            status = os.lstat(self._files.path(path))
        except FileNotFoundError:
            found = self._files.look_up(path)
            if found is None:
                raise
            path = found
            status = os.lstat(self._files.path(path))
        if not stat.S_ISREG(status.st_mode):
            raise MessageGone(os.fsdecode(path))
        # Dovecot's INTERNALDATE is the file's time.
        if self._links and int(status.st_mtime) == message.date and linked(self._disk, self._files.path(path), target):
            self.left.linked += 1
            return
        self._copier.add(self._files.path(path), target, beside, None, message.date)

    def finish(self, subscribed: Iterable[str], scripts: Mapping[str, bytes], active: str | None) -> Left:
        """What is not a mailbox's; then it has its name. Raises OSError."""
        maildir = self._part / MAILDIR
        for entry in list(os.scandir(maildir)):
            if entry.name.startswith(".") and entry.is_dir() and entry.name not in self._folders:
                shutil.rmtree(entry.path)  # of an earlier try
        self._disk.replace_file(maildir / "subscriptions", _subscriptions(subscribed))
        self._disk.replace_file(maildir / "dovecot-uidvalidity", f"{max(self._folders.values(), default=1):08x}".encode())
        self._scripts(scripts, active)
        self._disk.sync_folder(maildir)
        self._disk.sync_folder(self._part)
        self._disk.rename(self._part, self._target)
        self._disk.sync_folder(self._target.parent)
        return self.left

    def _scripts(self, scripts: Mapping[str, bytes], active: str | None) -> None:
        if scripts:
            with contextlib.suppress(FileExistsError):
                self._disk.mkdir(self._part / "sieve")
        for name, source in scripts.items():
            self._disk.replace_file(self._part / "sieve" / file_of(name), source)
        link = self._part / ".dovecot.sieve"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(link)
        if active is not None:
            os.symlink(f"sieve/{file_of(active)}", link)


def _subscriptions(names: Iterable[str]) -> bytes:
    """Version 2, which Dovecot writes since 2.3."""
    rows = [b"INBOX" if name == INBOX else b"\t".join(encode(part) for part in name.split(SEPARATOR)) for name in sorted(names)]
    return b"V\t2\n\n" + b"".join(row + b"\n" for row in rows)
