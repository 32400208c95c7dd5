"""Another server's Maildir as one of ours, built beside the account's own: hard links where they can be, else copies.

Rule: the source is never written to. `taking-over` counts for nothing and may be thrown away at any instant; renamed to
`taken-over` it is the account's Maildir, and whoever opens the account next puts it into its place (install()).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from mailstack.message.flag import to_letters
from mailstack.store.disk import Disk
from mailstack.store.mailbox import keywords, marks, subscriptions
from mailstack.store.mailbox.filename import compose
from mailstack.store.mailbox.foldername import INBOX, normalise, to_folder
from mailstack.store.mailbox.marks import Marks
from mailstack.store.mailbox.opening import PROVISIONED, TAKEN_OVER
from mailstack.store.moving.errors import MoveProblem
from mailstack.store.moving.names import roles
from mailstack.store.moving.placing import BLOCK, Copier, linked, opened
from mailstack.store.moving.survey import ForeignFolder, ForeignMessage, Survey, Told, sniff

STAGING = "taking-over"


@dataclass(slots=True)
class Staged:
    """What was built."""

    linked: int = 0
    copied: int = 0
    found: int = 0  # of an earlier try
    made: int = 0  # mailboxes that every account here has


class Staging:
    """One account's. Blocking code."""

    def __init__(
        self, disk: Disk, account: Path, host: str, randomness: random.Random, *, links: bool, told: Told = lambda _: None
    ) -> None:
        self._disk = disk
        self._account = account
        self._root = account / STAGING
        self._host = host
        self._randomness = randomness
        self._links = links
        self._told = told
        self._ids: set[str] = set()
        self._copier = Copier(disk)
        self.staged = Staged()

    def build(self, survey: Survey) -> Staged:
        """Everything but the last step. Goes on where an earlier try was cut short. Raises MoveProblem, OSError."""
        self.refuse_mail()
        self._disk_folder(self._root)
        known = max((folder.uid_validity or 0 for folder in survey.folders), default=0)
        used = roles(folder.name for folder in survey.folders)
        wanted = set()
        for folder in survey.folders:
            wanted.add(to_folder(folder.name))
            use = used.get(folder.name)
            self._folder(survey.root, folder, self._validity(folder, known), use.value if use else None)
        wanted |= self._provide({folder.name for folder in survey.folders}, {use.value for use in used.values()}, known)
        for entry in list(os.scandir(self._root)):
            if entry.name.startswith(".") and entry.is_dir() and entry.name not in wanted:
                shutil.rmtree(entry.path)
        mine = survey.subscribed if survey.subscribed is not None else frozenset(folder.name for folder in survey.folders)
        names = frozenset(_nameable(mine)) | {INBOX}
        subscriptions.write(self._disk, self._root, names)
        self._disk.sync_folder(self._root)
        return self.staged

    def refuse_mail(self) -> None:
        """Raises MoveProblem when the account holds any."""
        count = len(_messages(self._account / "Maildir"))
        if count:
            raise MoveProblem(
                f"the account holds {count} messages already, beside which the old UIDs can't be: use mailstack import"
            )

    def commit(self) -> None:
        """The instant of the takeover. Nobody may have the account open. Raises MoveProblem when mail is in it."""
        try:
            self.refuse_mail()
        except MoveProblem:
            shutil.rmtree(self._root)
            raise
        self._disk.rename(self._root, self._account / TAKEN_OVER)
        self._disk.sync_folder(self._account)

    # Folders --------------------------------------------------------------------------------------------------------

    def _disk_folder(self, path: Path) -> None:
        for part in (path, path / "cur", path / "new", path / "tmp"):
            with contextlib.suppress(FileExistsError):
                self._disk.mkdir(part)

    def _validity(self, folder: ForeignFolder, known: int) -> int:
        if folder.uid_validity is not None:
            return folder.uid_validity
        kept = marks.read(self._place(folder.name))
        if kept is not None:
            return kept.uid_validity  # of an earlier try
        return marks.next_uid_validity(self._disk, self._account, self._randomness, known)

    def _place(self, name: str) -> Path:
        return self._root / to_folder(name)

    def _identity(self, wanted: str | None) -> str:
        while wanted is None or wanted in self._ids:
            wanted = f"{self._randomness.getrandbits(80):020x}"
        self._ids.add(wanted)
        return wanted

    def _provide(self, names: set[str], uses: set[str], known: int) -> set[str]:
        """Mailboxes that every account has here, where no folder is for the same; the folders of all of them."""
        made = {""}
        for name, use in PROVISIONED:
            if name in names or use.value in uses:
                continue
            place = self._place(name)
            self._disk_folder(place)
            if marks.read(place) is None:
                validity = marks.next_uid_validity(self._disk, self._account, self._randomness, known)
                marks.write(self._disk, place, Marks(validity, self._identity(None), use.value))
            self._mark_as_folder(place)
            self.staged.made += 1
            made.add(to_folder(name))
        if INBOX not in names:
            validity = marks.next_uid_validity(self._disk, self._account, self._randomness, known)
            marks.write(self._disk, self._root, Marks(validity, self._identity(None)))
        return made

    def _mark_as_folder(self, place: Path) -> None:
        if place != self._root:
            (place / "maildirfolder").touch(mode=0o600)
            self._disk.sync_folder(place)

    def _folder(self, source: Path, folder: ForeignFolder, validity: int, use: str | None) -> None:
        place = self._place(folder.name)
        self._disk_folder(place)
        self._mark_as_folder(place)
        there = {path: os.lstat(self._path(path)).st_ino for path in _names(place)}
        try:
            for message in folder.messages:
                wanted = self._message(source, place, message, validity, there)
                there.pop(wanted, None)
                self._told(1)
            self._copier.finish()
        finally:
            self._copier.close()
        for path in there:  # of an earlier try; changed since
            self._disk.unlink(self._path(path))
        if any(folder.keywords):
            keywords.write(self._disk, place, folder.keywords)
        for part in ("cur", "new"):
            self._disk.sync_folder(place / part)
        # The first UID and MODSEQ that were surely never given: both go on there.
        made = Marks(validity, self._identity(folder.guid), use, folder.uid_next, folder.highest_modseq + 1)
        marks.write(self._disk, place, made)

    def _path(self, path: bytes) -> bytes:
        return os.fsencode(self._root) + b"/" + path

    # Messages -------------------------------------------------------------------------------------------------------

    def _message(self, source: Path, place: Path, message: ForeignMessage, validity: int, there: dict[bytes, int]) -> bytes:
        """Below the staging's root, as `there` has them."""
        origin = os.fsencode(source) + b"/" + message.path
        packed, size, wire_size = None, message.size, message.wire_size
        if wire_size is None:
            packed = sniff(origin)
            size, wire_size = self._measure(origin, packed)
        unique = message.guid or hashlib.blake2b(_base(message.path), digest_size=12).hexdigest()
        base = compose(message.date, unique, self._host, size, wire_size, validity, message.uid)
        part = b"new/" if message.fresh else b"cur/"
        letters = b"" if message.fresh else b":2," + to_letters(message.flags).encode()
        prefix = b"" if place == self._root else os.fsencode(place.name) + b"/"
        path = prefix + part + base + letters
        if path in there:
            self.staged.found += 1
            return path
        target = self._path(path)
        if packed is None and self._links and linked(self._disk, origin, target):
            self.staged.linked += 1
        else:
            self._copier.add(origin, target, place / "tmp", packed, message.date)
            self.staged.copied += 1
        return path

    def _measure(self, origin: bytes, packed: str | None) -> tuple[int, int]:
        """Octets of the message, and with CRLF line ends."""
        size = wire = 0
        last = b""
        with opened(origin, packed) as file:
            while block := file.read(BLOCK):
                bare = block.count(b"\n") - block.count(b"\r\n")
                if last == b"\r" and block[:1] == b"\n":
                    bare -= 1
                size += len(block)
                wire += len(block) + bare
                last = block[-1:]
        return size, wire


def _nameable(wanted: frozenset[str]) -> list[str]:
    found = []
    for name in wanted:
        with contextlib.suppress(Exception):
            to_folder(name)
            found.append(normalise(name))
    return found


def _base(path: bytes) -> bytes:
    return path.rpartition(b"/")[2].partition(b":")[0]


def _names(place: Path) -> list[bytes]:
    """Messages of a folder of ours, below the root above it."""
    prefix = b"" if place.name == STAGING else os.fsencode(place.name) + b"/"
    return [prefix + part + b"/" + name for part in (b"cur", b"new") for name in os.listdir(os.fsencode(place) + b"/" + part)]


def _messages(maildir: Path) -> list[str]:
    """Files in all folders of a Maildir of ours."""
    found: list[str] = []
    if maildir.is_dir():
        for folder in (maildir, *(Path(entry.path) for entry in os.scandir(maildir) if entry.name.startswith("."))):
            for part in ("cur", "new"):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    found += os.listdir(folder / part)
    return found
