"""Which mailboxes an account has, and the folders they are made of."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from mailstack.log import get_logger
from mailstack.store.errors import NameRefused, NoSuchMailbox
from mailstack.store.mailbox import grants, marks
from mailstack.store.mailbox.facts import Head
from mailstack.store.mailbox.foldername import INBOX, SEPARATOR, from_folder, normalise, to_folder
from mailstack.store.mailbox.grants import NOBODY, Grants
from mailstack.store.mailbox.graves import Graves
from mailstack.store.mailbox.index import Snapshot
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.maildir import Maildir
from mailstack.store.mailbox.marks import Marks
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import SpecialUse

log = get_logger()


class Folders:
    """All but find() is blocking code, which runs in a thread while the account's turn keeps everybody else away."""

    def __init__(
        self,
        account: Path,
        surroundings: Surroundings,
        maildir: Maildir,
        journal: Journal,
        mailboxes: dict[str, Mailbox],
        new_mailbox: Callable[[str, str, Marks], Mailbox],
        graves: Graves,
    ) -> None:
        self._account = account
        self._with = surroundings
        self._maildir = maildir
        self._journal = journal
        self._new_mailbox = new_mailbox
        self._graves = graves
        self.mailboxes = mailboxes
        self.subscribed: frozenset[str] = frozenset()

    def find(self, name: str) -> Mailbox:
        mailbox = self.mailboxes.get(normalise(name))
        if mailbox is None:
            raise NoSuchMailbox(name)
        return mailbox

    def take_all(self, folders: Iterable[str]) -> None:
        for folder in sorted(folders, key=_by_name):
            self.take(folder)

    def take(self, folder: str) -> None:
        """A folder with a cur/ is a mailbox, whoever made it."""
        name = from_folder(folder)
        path = self._maildir.folder_path(folder)
        if name is None or not (path / "cur").is_dir():
            return
        name = normalise(name)
        if name in self.mailboxes or (name == INBOX and folder):
            log.warning("store.folder_skipped", folder=str(path), mailbox=name, problem="another folder is that mailbox")
            return
        found = marks.read(path)
        if found is not None and any(mailbox.id == found.id for mailbox in self.mailboxes.values()):
            # A copy of a whole folder: it becomes a mailbox of its own.
            log.warning("store.folder_copied", folder=str(path), mailbox=name)
            found = None
        if found is None:
            self._maildir.make_folder(path)
            found = self._new_marks(None)
            marks.write(self._with.disk, path, found)
            self._journal.heads[found.id] = Head(found.uid_validity, 1, 1)
        mailbox = self.mailboxes[name] = self._new_mailbox(name, sys.intern(folder), found)
        mailbox.grants = grants.read(path, found.id)

    def above(self, name: str) -> Mailbox | None:
        """The nearest mailbox above a name."""
        end = name.rfind(SEPARATOR)
        while end > 0:
            if name[:end] in self.mailboxes:
                return self.mailboxes[name[:end]]
            end = name.rfind(SEPARATOR, 0, end)
        return None

    def refresh(self) -> None:
        """Take over folders that other programs made, and let go of those they removed."""
        root = self._maildir.root
        found = {entry.name for entry in os.scandir(root) if entry.name.startswith(".") and entry.is_dir()}
        for name, mailbox in list(self.mailboxes.items()):
            if mailbox.folder and mailbox.folder not in found:
                del self.mailboxes[name]
        self.take_all(found - {mailbox.folder for mailbox in self.mailboxes.values()})

    def make(self, name: str, special_use: SpecialUse | None) -> Mailbox:
        """It is open to whom the mailbox above it is open to (RFC 4314 4)."""
        disk = self._with.disk
        above = self.above(name)
        inherited = above.grants if above is not None else NOBODY
        folder = to_folder(name)
        path = self._maildir.folder_path(folder)
        made = self._new_marks(special_use)
        if os.path.lexists(path):
            # What another program began.
            self._maildir.make_folder(path)
            self._write(path, made, inherited)
        else:
            # Beside, then renamed: it is there whole or not at all.
            beside = self._account / f"new-{made.id}"
            self._maildir.make_folder(beside)
            self._write(beside, made, inherited)
            disk.rename(beside, path)
            disk.sync_folder(path.parent)
        head = Head(made.uid_validity, 1, 1, folder_times=self._maildir.times(folder))
        self._journal.index.snapshot([Snapshot(made.id, head, {})], 0, 0)
        self._journal.heads[made.id] = head
        mailbox = self.mailboxes[name] = self._new_mailbox(name, sys.intern(folder), made)
        mailbox.grants = inherited
        return mailbox

    def _write(self, path: Path, made: Marks, inherited: Grants) -> None:
        if inherited:
            grants.write(self._with.disk, path, made.id, inherited)
        marks.write(self._with.disk, path, made)

    def put_aside(self, mailbox: Mailbox) -> Path:
        """Its folder out of the tree, whole; where it is then."""
        disk = self._with.disk
        path = self._maildir.folder_path(mailbox.folder)
        aside = self._account / f"deleted-{mailbox.id}"
        with contextlib.suppress(FileNotFoundError):
            self._graves.mark(path, mailbox.folder)
            disk.rename(path, aside)
            try:
                disk.sync_folder(self._maildir.root)
            except OSError:
                os.rename(aside, path)
                raise
        return aside

    def bury(self, aside: Path) -> None:
        """What put_aside() gave: its messages stay for a while where deleted ones do, the rest goes."""
        try:
            self._graves.take(aside)
        except OSError as problem:
            log.warning("store.not_kept", folder=str(aside), problem=problem.strerror)
        shutil.rmtree(aside, ignore_errors=True)

    def _new_marks(self, special_use: SpecialUse | None) -> Marks:
        highest = max((mailbox.uid_validity for mailbox in self.mailboxes.values()), default=0)
        validity = marks.next_uid_validity(self._with.disk, self._account, self._with.randomness, highest)
        identity = f"{self._with.randomness.getrandbits(80):020x}"
        return Marks(validity, identity, special_use.value if special_use else None)


def _by_name(folder: str) -> tuple[bool, str]:
    """The folder that a mailbox of ours would have comes before others that mean the same name."""
    name = from_folder(folder)
    try:
        return (name is None or to_folder(name) != folder, folder)
    except NameRefused:
        return (True, folder)
