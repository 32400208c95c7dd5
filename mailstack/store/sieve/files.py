"""Scripts on disk: `<account>/sieve/<name>.sieve`, and the name of the active one's file in `active`. Blocking: from a thread.

A name is percent-encoded; one that would be too long for a file lies under its digest, with the name itself in a file beside.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from urllib.parse import quote, unquote

from mailstack.store.disk import Disk
from mailstack.store.errors import NoSuchScript, ScriptExists, ScriptInUse

END = ".sieve"
NAME_END = ".name"
ACTIVE = "active"
FILE_NAME_LIMIT = 200  # octets, without the end


def file_of(name: str) -> str:
    """The file's name for a script's."""
    encoded = quote(name, safe=" -_+=@,()&")
    if encoded.startswith((".", "~", " ")):
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if len(encoded) > FILE_NAME_LIMIT:
        return "~" + hashlib.sha256(name.encode()).hexdigest()[:40] + END
    return encoded + END


class ScriptFiles:
    """The folder of one account's scripts."""

    def __init__(self, disk: Disk, folder: Path) -> None:
        self._disk = disk
        self.folder = folder

    def listing(self) -> dict[str, bool]:
        """Names in order, and whether each is the active one."""
        active = self._active_file()
        return {name: file == active for name, file in sorted(self._files().items())}

    def read(self, name: str) -> bytes:
        """Raises NoSuchScript, OSError."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise NoSuchScript(name) from None

    def active(self) -> tuple[str, bytes] | None:
        """Name and source of the active script. Raises OSError."""
        file = self._active_file()
        if file is None:
            return None
        try:
            return self._name(file), (self.folder / file).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, source: bytes) -> None:
        """A new script, or a new text of one that is there. Durable when it returns."""
        self._make()
        file = file_of(name)
        if file.startswith("~"):
            self._disk.replace_file(self.folder / (file + NAME_END), name.encode())
        self._disk.replace_file(self.folder / file, source)

    def delete(self, name: str) -> None:
        """Raises NoSuchScript, ScriptInUse."""
        file = file_of(name)
        if not self._path(name).exists():
            raise NoSuchScript(name)
        if file == self._active_file():
            raise ScriptInUse(name)
        self._remove(file)

    def activate(self, name: str | None) -> None:
        """Make one the active script; None: none of them. Raises NoSuchScript."""
        if name is None:
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(self.folder / ACTIVE)
                self._disk.sync_folder(self.folder)
            return
        if not self._path(name).exists():
            raise NoSuchScript(name)
        self._disk.replace_file(self.folder / ACTIVE, file_of(name).encode())

    def rename(self, old: str, new: str) -> None:
        """An active one stays active, also when this is cut short. Raises NoSuchScript, ScriptExists."""
        source, target = self._path(old), self._path(new)
        if not source.exists():
            raise NoSuchScript(old)
        if target.exists():
            raise ScriptExists(new)
        if target.name.startswith("~"):
            self._disk.replace_file(self.folder / (target.name + NAME_END), new.encode())
        self._disk.link(source, target)
        self._disk.sync_folder(self.folder)
        if source.name == self._active_file():
            self._disk.replace_file(self.folder / ACTIVE, target.name.encode())
        self._remove(source.name)

    def _path(self, name: str) -> Path:
        return self.folder / file_of(name)

    def _remove(self, file: str) -> None:
        self._disk.unlink(self.folder / file)
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(self.folder / (file + NAME_END))
        self._disk.sync_folder(self.folder)

    def _make(self) -> None:
        if not self.folder.is_dir():
            os.makedirs(self.folder.parent, mode=0o700, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self._disk.mkdir(self.folder)
            self._disk.sync_folder(self.folder.parent)

    def _files(self) -> dict[str, str]:
        """Script names and their files."""
        try:
            found = [entry.name for entry in os.scandir(self.folder) if entry.name.endswith(END)]
        except FileNotFoundError:
            return {}
        return {self._name(file): file for file in found}

    def _name(self, file: str) -> str:
        if file.startswith("~"):
            with contextlib.suppress(OSError):
                return (self.folder / (file + NAME_END)).read_text(encoding="utf-8", errors="replace")
        return unquote(file.removesuffix(END), errors="replace")

    def _active_file(self) -> str | None:
        try:
            file = (self.folder / ACTIVE).read_bytes().decode("utf-8", "replace").strip()
        except FileNotFoundError:
            return None
        return file if file.endswith(END) and "/" not in file else None
