"""Keywords of a Courier folder: `courierimapkeywords/:list`, and a file for each message whose keywords changed since."""

import os
import re
from pathlib import Path

FOLDER = "courierimapkeywords"
LIST = ":list"
_LATER = re.compile(r"\.([0-9]+)\.(.+)", re.DOTALL)


def parse_list(text: str) -> dict[str, frozenset[str]]:
    """Names of keywords, an empty line, then `<base>:<numbers>`: keywords by base."""
    names, _, rest = text.partition("\n\n")
    keywords = names.split("\n")
    found = {}
    for line in rest.split("\n"):
        base, colon, numbers = line.rpartition(":")
        if colon and base:
            places = [int(number) for number in numbers.split() if number.isdecimal() and number.isascii()]
            found[base] = frozenset(keywords[place] for place in places if place < len(keywords) and keywords[place])
    return found


def read(folder: Path) -> dict[bytes, frozenset[str]]:
    """Keywords by the part of a file's name before `:`; none where it is not Courier's. Raises OSError."""
    place = folder / FOLDER
    try:
        names = os.listdir(place)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found: dict[str, frozenset[str]] = {}
    if LIST in names:
        found = parse_list((place / LIST).read_text(errors="surrogateescape"))
    # What changed since: `.<n>.<base>`, where the larger n is newer, and `<base>`, which is the newest.
    newest: dict[str, tuple[float, str]] = {}
    for name in names:
        if name == LIST:
            continue
        later = _LATER.fullmatch(name)
        age, base = (float(later[1][:30]), later[2]) if later else (float("inf"), name)
        newest[base] = max(newest.get(base, (-1.0, "")), (age, name))
    for base, (_, name) in newest.items():
        found[base] = frozenset((place / name).read_text(errors="surrogateescape").split())
    return {os.fsencode(base): keywords for base, keywords in found.items() if keywords}
