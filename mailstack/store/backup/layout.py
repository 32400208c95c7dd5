"""A folder of backups: one dated folder each, and which of them are kept.

```
DIR/2026-11-26T033000Z/manifest.json        what the backup holds, unit by unit; its last written file
                       manifest/<unit>.jsonl   path, size and SHA-256 of every file of a unit
                       data/...                as in the data folder; unchanged files are hard links into the backup before
                       config/mailstack.toml
DIR/.partial/   being made; what it has is taken over when a run was cut short
```
"""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path

PARTIAL = ".partial"
CUT_SHORT = ".cut-short"
REMOVING = ".removing-"
SCRATCH = ".proof"
PROGRESS = ".progress"
MANIFEST = "manifest.json"
UNITS = "manifest"
DATA = "data"
CONFIG = "config"
DAY = 86400.0
DAMAGED = "damaged.json"  # what a proof found; nothing is taken over from those files
_NAME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}Z")
_FORMAT = "%Y-%m-%dT%H%M%SZ"


def name_of(moment: float) -> str:
    """A backup's folder name: when it was begun, UTC."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime(_FORMAT)


def moment_of(name: str) -> float:
    """Seconds since the epoch."""
    return datetime.datetime.strptime(name, _FORMAT).replace(tzinfo=datetime.UTC).timestamp()


def backups(folder: Path) -> list[str]:
    """Names of the whole ones, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(one.name for one in folder.iterdir() if _NAME.fullmatch(one.name) and (one / MANIFEST).is_file())


def to_prune(names: Sequence[str], keep: int) -> list[str]:
    """Those that need not be kept: what stays is all of the 24 hours before the newest, and the newest of each of
    the last `keep` days and of each of the last `keep` weeks. Days and weeks in which no backup was made do not count.
    """
    newest_first = sorted(names, reverse=True)
    kept = {name for name in names if moment_of(name) > moment_of(newest_first[0]) - DAY}
    for period in ("%Y-%m-%d", "%G-%V"):
        seen: dict[str, str] = {}
        for name in newest_first:
            seen.setdefault(datetime.datetime.strptime(name, _FORMAT).strftime(period), name)
        kept.update(list(seen.values())[:keep])
    return sorted(set(names) - kept)
