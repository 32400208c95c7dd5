"""Which addresses hide several clients, over a restart: a small file that may be lost. Blocking."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from mailstack.log import get_logger
from mailstack.store.disk import Disk

log = get_logger()
ROWS = 1000


@dataclass(frozen=True, slots=True)
class KnownHiding:
    """An address, what was said from it, and when last, in seconds since the epoch."""

    address: str
    hosts: tuple[str, ...]
    domains: tuple[str, ...]
    last: float


class HidingFile:
    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk

    def read(self) -> list[KnownHiding]:
        """Nothing where there is none, or none that can be read."""
        try:
            rows = orjson.loads(self._path.read_bytes())
            return [
                KnownHiding(
                    str(row["address"]), tuple(map(str, row["hosts"])), tuple(map(str, row["domains"])), float(row["last"])
                )
                for row in rows[:ROWS]
            ]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
            log.warning("nat.not_read", file=str(self._path), problem=str(problem))
            return []

    def write(self, rows: Sequence[KnownHiding]) -> None:
        """Never raises: what is not written is seen again."""
        try:
            self._disk.replace_file(self._path, orjson.dumps([asdict(row) for row in rows]))
        except OSError as problem:
            log.warning("nat.not_written", file=str(self._path), problem=str(problem))
