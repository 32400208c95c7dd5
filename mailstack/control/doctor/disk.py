"""The disks that carry the store: what they can, how much room they have, how long a flush takes."""

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from mailstack.control.doctor.finding import Finding, Patient
from mailstack.store.probe import probe

SPACE_WANTED, SPACE_NEEDED = 1 << 30, 100 << 20  # octets
NODES_WANTED = 0.05  # of all
FLUSHES = 7
SLOW_FLUSH, VERY_SLOW_FLUSH = 0.05, 0.5  # seconds
PIECE = b"x" * 4096


async def disk(patient: Patient) -> list[Finding]:
    found = await asyncio.gather(*(asyncio.to_thread(_look, path) for path in patient.folders))
    return [finding for findings in found for finding in findings]


def _look(path: Path) -> list[Finding]:
    if not path.exists():
        return [Finding("disk", "warn", f"{path} is not there yet; the first start makes it")]
    effect = "the store can't work there"
    found = [
        Finding("disk", "bad" if one.fatal else "warn", f"{path}: {one.text}", effect if one.fatal else "", "use another mount")
        for one in probe(path)
    ]
    found = found or [Finding("disk", "ok", f"{path} can carry the store")]
    free, nodes = shutil.disk_usage(path).free, os.statvfs(path)
    found += [judge_space(path, free), *judge_nodes(path, nodes.f_favail, nodes.f_files)]
    if not any(one.state == "bad" for one in found):
        found.append(judge_flush(path, flush_seconds(path)))
    return found


def judge_space(path: Path, free: int) -> Finding:
    text = f"{path}: {free >> 20} MiB free"
    if free > SPACE_WANTED:
        return Finding("disk space", "ok", text)
    fix = "make room, or move data_dir to a larger disk"
    if free > SPACE_NEEDED:
        return Finding("disk space", "warn", text, "soon mail is put off (452), and nothing is saved", fix)
    return Finding("disk space", "bad", text, "mail is put off (452), and nothing is saved", fix)


def judge_nodes(path: Path, free: int, total: int) -> list[Finding]:
    """Some file systems make them as they need them, and tell 0."""
    if total <= 0:
        return []
    text = f"{path}: {free} of {total} files can still be made"
    if free / total > NODES_WANTED:
        return [Finding("files", "ok", text)]
    effect = "each mail is a file: there will be no room for more, though there is space"
    return [Finding("files", "bad" if free < 1000 else "warn", text, effect, "move data_dir to a file system with more inodes")]


def flush_seconds(path: Path) -> float:
    """How long a flush of 4 KiB takes, in the middle of some."""
    times = []
    with tempfile.TemporaryFile(dir=path, prefix=".flush-") as file:
        for _ in range(FLUSHES):
            begun = time.perf_counter()
            file.write(PIECE)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    return statistics.median(times)


def judge_flush(path: Path, seconds: float) -> Finding:
    text = f"{path}: {1000 * seconds:.1f} ms for a flush"
    if seconds < SLOW_FLUSH:
        return Finding("disk flush", "ok", text)
    effect = "each mail waits for some flushes before it is acknowledged"
    fix = "a disk that is not shared or over the network, an SSD; indexes on a fast one: store.index_dir"
    return Finding("disk flush", "warn" if seconds < VERY_SLOW_FLUSH else "bad", text, effect, fix)
