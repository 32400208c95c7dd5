"""What a start of an account does: open the index, finish what was promised, take the folders. Blocking code."""

import contextlib
import os
import shutil
import sqlite3

from msgspec import structs

from mailstack.log import get_logger
from mailstack.store.mailbox import marks, subscriptions
from mailstack.store.mailbox.facts import Damaged
from mailstack.store.mailbox.foldername import INBOX
from mailstack.store.mailbox.folders import Folders
from mailstack.store.mailbox.index import Snapshot, damaged
from mailstack.store.mailbox.journal import Journal
from mailstack.store.mailbox.maildir import Maildir
from mailstack.store.mailbox.surroundings import Surroundings
from mailstack.store.mailbox.values import AccountFolder, SpecialUse
from mailstack.store.mailbox.view import NEVER_SEEN

log = get_logger()

STALE_TEMPORARY = 36 * 3600
TAKEN_OVER = "taken-over"  # the Maildir that an account has from its next opening on
PROVISIONED = (
    ("Sent", SpecialUse.SENT),
    ("Drafts", SpecialUse.DRAFTS),
    ("Junk", SpecialUse.JUNK),
    ("Trash", SpecialUse.TRASH),
    ("Archive", SpecialUse.ARCHIVE),
)
USUAL = frozenset((INBOX, *(name for name, _ in PROVISIONED)))


class Opening:
    """Before its end nobody else sees the account."""

    def __init__(
        self, folder: AccountFolder, surroundings: Surroundings, maildir: Maildir, journal: Journal, folders: Folders
    ) -> None:
        self._folder = folder
        self._with = surroundings
        self._maildir = maildir
        self._journal = journal
        self._folders = folders

    def run(self) -> None:
        """Raises OSError and sqlite3.Error."""
        self._install()
        is_new = not (self._maildir.root / marks.FILE).exists()
        self._make_places()
        self._journal.open()
        try:
            self._take_all(is_new)
        except (sqlite3.DatabaseError, Damaged) as problem:
            if not damaged(problem):
                raise
            log.error("store.index_damaged", index=str(self._folder.index), problem=str(problem))
            self._folders.mailboxes.clear()
            self._journal.pending.clear()
            self._journal.index.start_anew(0)
            self._take_all(is_new)

    def _install(self) -> None:
        """Finish a takeover (store/moving/staging.py): what an empty account had goes aside, with its index."""
        disk, account = self._with.disk, self._folder.path
        taken = account / TAKEN_OVER
        if not taken.is_dir():
            return
        index = self._folder.index
        for name in (index.name, f"{index.name}-wal", f"{index.name}-shm", "fulltext.sqlite3"):
            for leftover in index.parent.glob(f"{name}*"):
                disk.unlink(leftover)
        if self._maildir.root.exists():
            disk.rename(self._maildir.root, account / f"deleted-{self._with.randomness.getrandbits(80):020x}")
        disk.rename(taken, self._maildir.root)
        disk.sync_folder(account)
        log.info("store.taken_over", account=str(account))

    def _make_places(self) -> None:
        disk = self._with.disk
        account, index = self._folder.path, self._folder.index
        for path in (*reversed(account.parents), account, *reversed(index.parents)):
            if not path.exists():
                # Another account of the same domain may make it at the same moment.
                with contextlib.suppress(FileExistsError):
                    disk.mkdir(path)
                disk.sync_folder(path.parent)

    def _take_all(self, is_new: bool) -> None:
        self._keep_promises()
        root = self._maildir.root
        self._maildir.make_folder(root)
        self._folders.take_all(entry.name for entry in os.scandir(root) if entry.is_dir())
        subscribed = subscriptions.read(root)
        self._folders.subscribed = USUAL if subscribed == USUAL else subscribed  # one object for all who have just these
        if is_new:
            self._provision()
        # Last: INBOX's marks say that all of this is done.
        self._folders.take("")
        if self._journal.incomplete:
            self._go_on_at_marks()
        self._clean()

    def _keep_promises(self) -> None:
        rows = self._journal.read()
        for row in rows:
            if row.open:
                self._maildir.carry_out(list(row.entry.operations), again=True)
        if any(row.open for row in rows):
            # They are done: what comes into their places from now on is not theirs.
            self._journal.finish()

    def _provision(self) -> None:
        folders = self._folders
        for name, use in PROVISIONED:
            if name not in folders.mailboxes:
                folders.make(name, use)
        folders.subscribed = folders.subscribed | USUAL if folders.subscribed else USUAL
        subscriptions.write(self._with.disk, self._maildir.root, folders.subscribed)

    def _go_on_at_marks(self) -> None:
        """After a crash, or in an older index, rows may be missing whose files are there.

        What may have been given is never given again.
        """
        heads = self._journal.heads
        snapshots = []
        for mailbox in self._folders.mailboxes.values():
            head = heads.get(mailbox.id)
            if head is not None:
                uid_next = max(head.uid_next, mailbox.marks.uid_mark)
                modseq = max(head.highest_modseq, mailbox.marks.modseq_mark)
                head = structs.replace(head, uid_next=uid_next, highest_modseq=modseq, folder_times=NEVER_SEEN)
                heads[mailbox.id] = head
                snapshots.append(Snapshot(mailbox.id, head, {}))
        self._journal.index.snapshot(snapshots, 0, 0)

    def _clean(self) -> None:
        """Maildir's rule: what lay in tmp/ for 36 hours is nobody's. So are folders that were half made or half deleted."""
        limit = self._with.clock() - STALE_TEMPORARY
        for mailbox in self._folders.mailboxes.values():
            temporary = self._maildir.folder_path(mailbox.folder) / "tmp"
            with contextlib.suppress(OSError), os.scandir(temporary) as entries:
                for entry in entries:
                    if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < limit:
                        os.unlink(entry.path)
        for leftover in self._folder.path.glob("deleted-*"):
            self._folders.bury(leftover)
        for leftover in self._folder.path.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
