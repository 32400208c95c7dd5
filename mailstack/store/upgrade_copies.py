"""Databases as they were before upgrades (store/upgrading.py): how long they stay. Blocking code.

Rule: the newest stays, whatever its age: it is the only way back. An older one goes when the server has been well on so many
days since; days on which it did not run, or its self-test failed, prove nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import shutil
from pathlib import Path

import orjson

from mailstack.store.disk import Disk

DAYS = 14
SEEN = "well.json"  # in a copy's folder: the days
_MOMENT = 18  # characters of the moment at the end of a folder's name


def forget_copies(folder: Path, now: float, disk: Disk, *, well: bool) -> list[str]:
    """Count today where all is well, and remove what need not stay. Their names. Raises OSError."""
    copies = sorted(folder.glob("from-*"), key=lambda copy: copy.name[-_MOMENT:])
    today = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%d")
    gone = []
    for copy in copies:
        days = _days(copy)
        if well and today not in days:
            days = [*days[1 - DAYS :], today]
            disk.replace_file(copy / SEEN, orjson.dumps(days))
        if copy != copies[-1] and len(days) >= DAYS:
            shutil.rmtree(copy, ignore_errors=True)
            gone.append(copy.name)
    return gone


def _days(copy: Path) -> list[str]:
    with contextlib.suppress(OSError, ValueError):
        return [str(day) for day in orjson.loads((copy / SEEN).read_bytes())]
    return []
