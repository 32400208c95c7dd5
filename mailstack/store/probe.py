"""Whether a mount can carry the store: each property is tried, and what fails is named."""

import contextlib
import os
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """What a mount can't do. `fatal`: the store can't work without it."""

    text: str
    fatal: bool


def probe(path: Path) -> list[Finding]:
    """Blocking; what it makes, it removes."""
    findings: list[Finding] = []
    try:
        folder = Path(tempfile.mkdtemp(prefix=".probe-", dir=path))
    except OSError as problem:
        return [Finding(f"can't be written: {problem.strerror}", True)]
    try:
        _files(folder, findings)
        _database(folder, findings)
    finally:
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
        os.rmdir(folder)
    return findings


def _files(folder: Path, findings: list[Finding]) -> None:
    block = os.statvfs(folder).f_bsize
    if block < PAGE:
        # SQLite makes sure of the last octet of each page that it maps; other blocks of the page may find the disk full.
        findings.append(Finding(f"blocks of {block} octets: a full disk can end the server (SIGBUS); {PAGE} are safe", False))
    name = folder / "1.a.b,S=1:2,S"
    try:
        name.write_bytes(b"x")
    except OSError as problem:
        findings.append(Finding(f"file names can't hold a colon: {problem.strerror}", True))
        return
    try:
        os.link(name, folder / "link")
    except OSError as problem:
        findings.append(Finding(f"no hard links: copies take as much room as the mails ({problem.strerror})", False))
    try:
        os.rename(name, folder / "renamed")
    except OSError as problem:
        findings.append(Finding(f"files can't be renamed: {problem.strerror}", True))
    try:
        for target in (folder / "renamed", folder):
            descriptor = os.open(target, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as problem:
        findings.append(Finding(f"fsync fails: {problem.strerror}", True))


def _database(folder: Path, findings: list[Finding]) -> None:
    path = folder / "probe.sqlite3"
    try:
        first = sqlite3.connect(path, timeout=0.1, isolation_level=None)
        second = sqlite3.connect(path, timeout=0.1, isolation_level=None)
        try:
            first.execute("PRAGMA journal_mode=WAL")
            first.execute("CREATE TABLE one (two)")
            first.execute("BEGIN IMMEDIATE")
            try:
                second.execute("BEGIN IMMEDIATE")
                findings.append(Finding("SQLite's locks don't hold (a network mount?)", True))
            except sqlite3.OperationalError:
                first.execute("ROLLBACK")
        finally:
            first.close()
            second.close()
    except sqlite3.Error as problem:
        findings.append(Finding(f"SQLite can't work here: {problem}", True))
