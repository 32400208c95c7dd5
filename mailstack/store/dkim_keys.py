"""DKIM keys on disk: `<data>/dkim/<domain>/<selector>.pem` (0600), and beside them `keys.json`, which says what each is for.

A key's file is whole and flushed before keys.json names it. A key that keys.json does not name waits, so that neither a crash
between the two nor a file that an admin put there makes a key sign whose record nobody can find. Without
keys.json all keys sign.
"""

import enum
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from mailstack.store.disk import Disk
from mailstack.store.errors import StoreFailed, from_os_error

STATES = "keys.json"
KEY_LIMIT = 65536  # octets of a key's file


class KeyState(enum.StrEnum):
    WAITING = "waiting"  # until its record is seen in the DNS
    SIGNING = "signing"
    RETIRED = "retired"  # signs no more; its record stays, for what it signed is still under way


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key of a domain. `since`: when it came into its state; `until`: how long a retired one's record is needed."""

    selector: str
    state: KeyState
    since: float
    until: float | None
    pem: bytes


class KeyStore:
    """All methods block: call them from a thread. They raise StoreProblem."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self.folder = folder
        self._disk = disk or Disk()
        self._lock = threading.Lock()

    def domains(self) -> list[str]:
        """Those that have a folder."""
        try:
            return sorted(entry.name for entry in os.scandir(self.folder) if entry.is_dir())
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise from_os_error(problem) from problem

    def entries(self, domain: str) -> list[KeyEntry]:
        """The keys of a domain by selector; none where there is no folder."""
        with self._lock:
            return self._entries(self.folder / domain)

    def _entries(self, place: Path) -> list[KeyEntry]:
        states = _read_states(place / STATES)
        found = []
        for path in sorted(place.glob("*.pem")):
            try:
                with open(path, "rb") as file:
                    pem, made = file.read(KEY_LIMIT), os.fstat(file.fileno()).st_mtime
            except OSError as problem:
                raise from_os_error(problem) from problem
            unnamed = KeyState.SIGNING if states is None else KeyState.WAITING
            state, since, until = (states or {}).get(path.stem, (unnamed, made, None))
            found.append(KeyEntry(path.stem, state, since, until, pem))
        return found

    def add(self, domain: str, keys: dict[str, bytes], state: KeyState, now: float) -> None:
        """Keep new keys, {selector: PEM}; both or none sign."""
        place = self.folder / domain
        with self._lock:
            try:
                place.mkdir(mode=0o700, parents=True, exist_ok=True)
                entries = self._entries(place)
                for selector in keys:
                    if (place / f"{selector}.pem").exists():
                        raise StoreFailed(f"{domain}: there is a key {selector} already")
                if not (place / STATES).exists():
                    # Without it every key signs: the new ones must not, before they are whole.
                    self._write(place, entries)
                for selector, pem in keys.items():
                    self._disk.replace_file(place / f"{selector}.pem", pem)
                self._write(place, [*entries, *(KeyEntry(one, state, now, None, b"") for one in keys)])
            except OSError as problem:
                raise from_os_error(problem) from problem

    def change(self, domain: str, changes: Mapping[str, tuple[KeyState, float | None]], now: float) -> None:
        """Put keys into another state (and say until when), all at once."""
        place = self.folder / domain
        with self._lock:
            entries = [
                replace(one, state=changes[one.selector][0], since=now, until=changes[one.selector][1])
                if one.selector in changes
                else one
                for one in self._entries(place)
            ]
            try:
                self._write(place, entries)
            except OSError as problem:
                raise from_os_error(problem) from problem

    def remove(self, domain: str, selector: str) -> None:
        """Throw a key away: its file first, for a key that has no name waits, and may sign again."""
        place = self.folder / domain
        with self._lock:
            try:
                self._disk.unlink(place / f"{selector}.pem")
                self._disk.sync_folder(place)
                self._write(place, self._entries(place))
            except OSError as problem:
                raise from_os_error(problem) from problem

    def _write(self, place: Path, entries: list[KeyEntry]) -> None:
        value = {one.selector: {"state": one.state, "since": one.since, "until": one.until} for one in entries}
        self._disk.replace_file(place / STATES, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")


def _read_states(path: Path) -> dict[str, tuple[KeyState, float, float | None]] | None:
    try:
        value = orjson.loads(path.read_bytes())
        return {
            str(selector): (KeyState(one["state"]), float(one["since"]), float(one["until"]) if one["until"] else None)
            for selector, one in value.items()
        }
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise from_os_error(problem) from problem
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        raise StoreFailed(f"{path}: can't be read: {problem}") from problem
