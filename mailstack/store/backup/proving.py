"""A backup is restored into a scratch place, opened with the real store, and compared. In the helper process.

One account at a time, so that the scratch place is never larger than the largest of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
from array import array
from collections.abc import Callable
from pathlib import Path

import msgspec

from mailstack.store.backup import layout, listing, manifest
from mailstack.store.backup.copying import Copier, digest_of, open_regular
from mailstack.store.backup.databases import check_database
from mailstack.store.backup.manifest import File, Manifest, Summary
from mailstack.store.database import Database
from mailstack.store.disk import Disk, PathName
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.contents import converts
from mailstack.store.mailbox.filename import parse
from mailstack.store.mailbox.freezing import Frozen
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import AccountFolder
from mailstack.store.queue.queue import read_envelope

READ_TOGETHER = 32
LARGE = 4 << 20
SHOWN = 20  # problems; the rest is counted


class Proof(msgspec.Struct):
    """What a proof came to."""

    name: str
    messages: int = 0  # that the server knew, and that were found again with UID and flags
    compared: int = 0  # whose octets were read through the store and compared
    problems: list[str] = []
    more: int = 0  # problems beyond those
    damaged: list[str] = []  # files that are not what the manifest says

    def wrong(self, text: str) -> None:
        if len(self.problems) < SHOWN:
            self.problems.append(text)
        else:
            self.more += 1


class Scratch(Disk):
    """What is written there is looked at and thrown away: no flush is waited for."""

    def start_sync(self, descriptor: int) -> None:
        pass

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, path: PathName) -> None:
        pass


class Prover:
    """prove() once."""

    def __init__(
        self, backup: Path, scratch: Path, sample: int, chance: random.Random, told: Callable[[int, int], None] | None = None
    ) -> None:
        """`sample`: of an account with more messages only so many are compared octet by octet, chance says which; 0: all."""
        self._backup = backup
        self._scratch = scratch
        self._sample = sample
        self._random = chance
        self._told = told or (lambda done, of: None)
        self._disk = Scratch()

    async def prove(self) -> Proof:
        proof = Proof(self._backup.name)
        try:
            made = manifest.read(self._backup)
        except StoreProblem as problem:
            proof.wrong(str(problem.detail))
            return proof
        accounts: set[str] = set()
        for number, unit in enumerate(made.units):
            self._told(number, len(made.units))
            self._clean()
            try:
                files = self._restore(proof, made, unit)
                if unit.name == manifest.SYSTEM:
                    accounts = self._open_database(proof)
                elif unit.name == manifest.QUEUE:
                    self._open_queue(proof, files)
                elif unit.address:
                    await self._open_account(proof, unit, files)
            except (StoreProblem, OSError) as problem:
                proof.wrong(f"{unit.name}: {getattr(problem, 'detail', None) or problem}")
        self._clean()
        for folder in sorted(accounts - {unit.name.removeprefix("mail/") for unit in made.units}):
            proof.wrong(f"mail/{folder}: the account is in the database, and not in the backup")
        self._remember(proof)
        return proof

    def _remember(self, proof: Proof) -> None:
        path = self._backup / layout.DAMAGED
        if proof.damaged:
            Disk().replace_file(path, msgspec.json.encode(proof.damaged))
        else:
            path.unlink(missing_ok=True)

    def _clean(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _restore(self, proof: Proof, made: Manifest, unit: Summary) -> dict[str, File]:
        """A unit into the scratch place, each file compared with what the manifest says; by path."""
        _, files = manifest.read_unit(self._backup, unit.name, unit.sha256)
        left_out = self._left_out(files)
        copier = Copier(self._disk)
        copier.folder(str(self._scratch))
        found: dict[str, File] = {}
        for file in files:
            target = f"{self._scratch}/{file.path}"
            if file.path.startswith("../"):
                self._compare(proof, file, *digest_of(self._backup / layout.DATA / file.path))
                continue
            if file.path.endswith("/"):
                copier.folder(target.rstrip("/"))
                continue
            copier.folder(os.path.dirname(target))
            if file.path in left_out:
                # Its name and size say all that the store needs to know of it.
                with open(target, "wb") as empty:
                    empty.truncate(file.size)
                continue
            try:
                source = open_regular(f"{self._backup}/{layout.DATA}/{file.path}")
                if source is None:
                    raise OSError("it is no file")
                try:
                    self._compare(proof, file, *copier.copy(source, target))
                finally:
                    os.close(source)
            except OSError as problem:
                proof.damaged.append(file.path)
                proof.wrong(f"{file.path}: {problem.strerror or problem}")
                continue
            found[file.path] = file
        copier.flush()
        return found

    def _compare(self, proof: Proof, file: File, digest: str, size: int) -> None:
        if digest != file.sha256 or size != file.size:
            proof.damaged.append(file.path)
            proof.wrong(
                f"{file.path}: is not what was written: {size} octets, SHA-256 {digest[:16]}..., not {file.sha256[:16]}..."
            )

    def _left_out(self, files: list[File]) -> set[str]:
        paths = [file.path for file in files if listing.is_message(file.path)]
        if not self._sample or len(paths) <= self._sample:
            return set()
        return set(paths) - set(self._random.sample(paths, self._sample))

    # Opening --------------------------------------------------------------------------------------------------------

    def _open_database(self, proof: Proof) -> set[str]:
        """Folders of the accounts."""
        for path in sorted(self._scratch.rglob("*.sqlite3")):
            try:
                check_database(path)
            except StoreProblem as problem:
                proof.wrong(problem.detail)
        # Only now: the models take as long to load as all else.
        from mailstack.store.selftest import read_everything

        database = Database(self._scratch / "mailstack.sqlite3")
        try:
            database.start()
            return set(database.run_blocking(read_everything))
        finally:
            database.close()

    def _open_queue(self, proof: Proof, files: dict[str, File]) -> None:
        for path in files:
            if path.endswith(".damaged"):
                continue
            try:
                read_envelope(self._scratch / path)
            except (ValueError, KeyError, TypeError, AttributeError) as problem:
                proof.wrong(f"{path}: {problem}")

    async def _open_account(self, proof: Proof, summary: Summary, files: dict[str, File]) -> None:
        unit, _ = manifest.read_unit(self._backup, summary.name)
        digests = {_place(path): file.sha256 for path, file in files.items() if listing.is_message(path)}
        path = self._scratch / summary.name
        boxes = Mailboxes("proof", self._disk)
        try:
            account = await boxes.account(AccountFolder(path, path / "index.sqlite3"))
            for mailbox in unit.mailboxes:
                with contextlib.suppress(_Wrong):
                    await self._open_mailbox(proof, account, summary.address, mailbox, digests)
        finally:
            await boxes.close()

    async def _open_mailbox(
        self, proof: Proof, account: Account, address: str, wanted: Frozen, digests: dict[tuple[int, int], str]
    ) -> None:
        where = f"{address} {wanted.name}"
        try:
            mailbox = await account.open(wanted.name)
        except StoreProblem as problem:
            proof.wrong(f"{where}: {type(problem).__name__} {problem.detail}")
            raise _Wrong from problem
        try:
            if mailbox.uid_validity != wanted.uid_validity:
                proof.wrong(f"{where}: UIDVALIDITY is {mailbox.uid_validity}, was {wanted.uid_validity}")
            if mailbox.uid_next < wanted.uid_next:
                proof.wrong(f"{where}: the next UID is {mailbox.uid_next}, was {wanted.uid_next}")
            have = dict(zip(mailbox.uids, mailbox.flags, strict=True))
            uids, flags = array("I", wanted.uids), array("Q", wanted.flags)
            right = [uid for uid, bits in zip(uids, flags, strict=True) if have.get(uid) == bits]
            if len(right) != len(uids):
                lost = sum(uid not in have for uid in uids)
                proof.wrong(
                    f"{where}: of {len(uids)} messages {lost} are not there, {len(uids) - len(right) - lost} have other flags"
                )
            proof.messages += len(right)
            readable = [uid for uid in right if (wanted.uid_validity, uid) in digests]
            for first in range(0, len(readable), READ_TOGETHER):
                for uid in readable[first : first + READ_TOGETHER]:
                    place = mailbox.position(uid)
                    assert place is not None
                    digest = hashlib.sha256()
                    async for block in mailbox.blocks(uid):
                        digest.update(block)
                    converted = converts(parse_base(mailbox.path(place)))
                    if not converted and digest.hexdigest() != digests[wanted.uid_validity, uid]:
                        proof.wrong(f"{where}: UID {uid} reads differently")
                        continue
                    proof.compared += 1
        finally:
            mailbox.release()


class _Wrong(Exception):
    """It was told."""


def parse_base(path: bytes) -> bytes:
    return path.rpartition(b"/")[2].partition(b":2,")[0]


def _place(path: str) -> tuple[int, int]:
    name = parse(os.fsencode(path.rpartition("/")[2]))
    return name.uid_validity or 0, name.uid or 0
