"""Keywords of a mailbox and the letters that carry them in file names: `dovecot-keywords`."""

import re
from pathlib import Path

from mailstack.message.flag import KEYWORD_COUNT
from mailstack.store.disk import Disk
from mailstack.store.errors import TooManyKeywords

FILE = "dovecot-keywords"
_KEYWORD = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z^_`a-z|~]+")  # an atom (RFC 9051 9): others could not be shown


def read(folder: Path) -> list[str | None]:
    """Number -> keyword, 26 places."""
    names: list[str | None] = [None] * KEYWORD_COUNT
    try:
        lines = (folder / FILE).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return names
    for line in lines:
        number, _, name = line.partition(" ")
        if number.isdecimal() and number.isascii() and int(number) < KEYWORD_COUNT and _KEYWORD.fullmatch(name):
            names[int(number)] = name
    return names


def possible(name: str) -> bool:
    """Whether it can be a keyword here."""
    return _KEYWORD.fullmatch(name) is not None


def write(disk: Disk, folder: Path, names: list[str | None]) -> None:
    """Durable when it returns, so that a letter is known before the first file name uses it."""
    lines = "".join(f"{number} {name}\n" for number, name in enumerate(names) if name is not None)
    disk.replace_file(folder / FILE, lines.encode())


def assign(names: list[str | None], wanted: frozenset[str], used_bits: int) -> list[str | None] | None:
    """Names with a letter for each wanted keyword; None when they have one already. Raises TooManyKeywords.

    Letters that no message uses (`used_bits`: bit n for letter n) are given out again when all are taken.
    """
    have = {name.lower() for name in names if name is not None}
    missing = sorted(keyword for keyword in wanted if keyword.lower() not in have)
    if not missing:
        return None
    changed = list(names)
    # A letter without a name may stand in names of files: another program's, whose meaning is not known here.
    free = [number for number, name in enumerate(changed) if name is None and not used_bits >> number & 1]
    if len(free) < len(missing):
        keep = {keyword.lower() for keyword in wanted}
        free += [
            number
            for number, name in enumerate(changed)
            if name is not None and not used_bits >> number & 1 and name.lower() not in keep
        ]
    if len(free) < len(missing):
        raise TooManyKeywords
    for number, keyword in zip(free, missing, strict=False):
        changed[number] = keyword
    return changed
