"""Sieve scripts of another server: Dovecot's `sieve/` folder and the link to the active one. Changes nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

END = ".sieve"
LARGEST = 1 << 20
PLACES = (Path("sieve"), Path("../sieve"), Path("home/sieve"), Path("../home/sieve"))
HOMES = (Path(), Path(".."), Path("home"), Path("../home"))
LINKS = tuple(folder / name for folder in HOMES for name in (".dovecot.sieve", "dovecot.sieve"))


@dataclass(frozen=True, slots=True)
class ForeignScripts:
    """Sources by name, and which is the active one."""

    scripts: dict[str, bytes]
    active: str | None = None


def find(maildir: Path, given: Path | None = None) -> ForeignScripts:
    """Where Dovecot's Pigeonhole has them by default, beside or in the Maildir; or a folder or one script that is given.

    Raises OSError.
    """
    if given is not None and given.is_file():
        return ForeignScripts({_name(given): _read(given)}, _name(given))
    if given is not None:
        os.listdir(given)  # what an admin names must be there
    scripts: dict[str, bytes] = {}
    for place in [given] if given is not None else [maildir / place for place in PLACES]:
        if place.is_dir() and not scripts:
            for file in sorted(place.glob(f"*{END}")):
                if file.is_file():
                    scripts.setdefault(_name(file), _read(file))
    links = [given / "active", *given.glob(".dovecot.sieve"), given.parent / ".dovecot.sieve"] if given is not None else []
    active = next((link for link in [*links, *(maildir / link for link in LINKS)] if link.is_file()), None)
    if active is None:
        return ForeignScripts(scripts)
    source = _read(active)
    name = _name(active.resolve())
    if scripts.get(name) != source:
        name = next((one for one, text in scripts.items() if text == source), "main")
        scripts[name] = source
    return ForeignScripts(scripts, name)


def _name(file: Path) -> str:
    return file.name.removesuffix(END).lstrip(".") or "main"


def _read(file: Path) -> bytes:
    with open(file, "rb") as stream:
        return stream.read(LARGEST)
