"""Pieces to a zip on any stream, block by block: no message is ever in memory whole. Blocking code."""

import hashlib
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import msgspec

from mailstack.store.errors import MessageGone
from mailstack.store.mailbox.files import MailFiles
from mailstack.store.mailbox.octets import BLOCK, FileOctets
from mailstack.store.takeout.pieces import FORMAT, VERSION, Box, Head, Letter, Piece, Script, folder_of, moment, script_file

LEVEL = 1  # of compression: mail is packed to three quarters by any
MANIFEST = "manifest.json"
_ONE_FILE = 0o100600 << 16  # the mode of a file that only its owner reads
_TIMES = (315532800, 4354819198)  # what a zip can say: 1980 to 2107


class Writer:
    """write() once. `told` hears of each message that was done."""

    def __init__(self, stream: IO[bytes], told: Callable[[], None] = lambda: None) -> None:
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL)
        self._told = told
        self._files = MailFiles(Path("/"))
        self._about: dict[str, object] = {}
        self._scripts: list[dict[str, object]] = []
        self._boxes: list[dict[str, object]] = []
        self._folder = ""
        self._mailbox = ""
        self.messages = 0
        self.octets = 0
        self.gone = 0

    def write(self, pieces: Iterable[Piece]) -> None:
        """Ends with the manifest, so that a zip that was cut short has none. Raises OSError."""
        with tempfile.TemporaryFile() as rows, self._zip:
            for piece in pieces:
                match piece:
                    case Head():
                        self._files = MailFiles(Path(piece.root))
                        self._about = piece.about
                    case Script():
                        self._script(piece)
                    case Box():
                        self._box(piece)
                    case Letter():
                        self._letter(piece, rows)
            self._manifest(rows)

    def _info(self, name: str, date: float, size: int) -> zipfile.ZipInfo:
        shown = min(max(date, _TIMES[0]), _TIMES[1])
        info = zipfile.ZipInfo(name, time.gmtime(shown)[:6])
        info.compress_type, info.external_attr, info.file_size = zipfile.ZIP_DEFLATED, _ONE_FILE, size
        return info

    def _script(self, piece: Script) -> None:
        file = script_file(piece.name)
        self._zip.writestr(self._info(file, time.time(), len(piece.source)), piece.source, compresslevel=LEVEL)
        digest = hashlib.sha256(piece.source).hexdigest()
        self._scripts.append({"name": piece.name, "active": piece.active, "file": file, "sha256": digest})

    def _box(self, piece: Box) -> None:
        self._mailbox, self._folder = piece.name, folder_of(piece.name)
        self._boxes.append({
            "name": piece.name, "folder": self._folder, "special_use": piece.special_use, "subscribed": piece.subscribed,
            "uid_validity": piece.uid_validity,
        })  # fmt: skip

    def _letter(self, piece: Letter, rows: IO[bytes]) -> None:
        """One that was removed since the list was made is left out."""
        try:
            octets = self._files.octets(piece.file.path, convert=piece.convert)
        except MessageGone:
            self.gone += 1
            return
        try:
            file = f"{self._folder}/{piece.uid}.eml"
            digest = self._copy(octets, self._info(file, piece.date, len(octets)))
            row = {"file": file, "mailbox": self._mailbox, "uid": piece.uid, "date": moment(piece.date), "flags": piece.flags}
            row |= {"size": len(octets), "sha256": digest}
        finally:
            octets.close()
        rows.write((b",\n" if self.messages else b"") + msgspec.json.encode(row))
        self.messages += 1
        self.octets += len(octets)
        self._told()

    def _copy(self, octets: FileOctets, info: zipfile.ZipInfo) -> str:
        digest = hashlib.sha256()
        with self._zip.open(info, "w") as entry:
            for start in range(0, len(octets), BLOCK):
                block = octets[start : start + BLOCK]
                digest.update(block)
                entry.write(block)
        return digest.hexdigest()

    def _manifest(self, rows: IO[bytes]) -> None:
        about = {"format": FORMAT, "version": VERSION, **self._about, "count": self.messages, "octets": self.octets}
        about |= {"scripts": self._scripts, "mailboxes": self._boxes}
        begins = msgspec.json.format(msgspec.json.encode(about), indent=1).removesuffix(b"\n}") + b',\n "messages": [\n'
        size = len(begins) + rows.tell() + len(b"\n]}\n")
        rows.seek(0)
        with self._zip.open(self._info(MANIFEST, time.time(), size), "w") as entry:
            entry.write(begins)
            while block := rows.read(BLOCK):
                entry.write(block)
            entry.write(b"\n]}\n")
