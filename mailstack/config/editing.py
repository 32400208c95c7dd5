"""Changing settings in a file as an admin would: what else stands there, comments too, stays."""

import re
import tomllib
from typing import Any

from mailstack.config.rendering import toml

_SECTION = re.compile(r"\s*\[\s*([A-Za-z_]+)\s*\]\s*(?:#.*)?$")


class EditProblem(Exception):
    """Why a file can't be changed by this; the admin has to."""


def edited(text: str, values: dict[str, Any]) -> str:
    """The text with these settings, "hostname" or "tls.mode". Raises EditProblem where it does not come to that."""
    before = _read(text)
    lines = text.splitlines()
    for key, value in values.items():
        section, _, name = key.rpartition(".")
        _put(lines, section, name, f"{name} = {toml(value)}")
    result = "\n".join(lines) + "\n"
    wanted = _with(before, values)
    if _read(result) != wanted:
        raise EditProblem("the file is written in a way that this can't change: " + ", ".join(values))
    return result


def _read(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise EditProblem(f"not TOML: {problem}") from problem


def _with(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    found = {key: dict(one) if isinstance(one, dict) else one for key, one in values.items()}
    for key, value in changes.items():
        section, _, name = key.rpartition(".")
        if not section:
            found[name] = value
            continue
        table = found.setdefault(section, {})
        if not isinstance(table, dict):
            raise EditProblem(f"{section} is no section")
        table[name] = value
    return found


def _put(lines: list[str], section: str, name: str, line: str) -> None:
    """In place of the setting, else of its comment, else at the end of the section."""
    first, last = _stretch(lines, section)
    for pattern in (rf"\s*{name}\s*=", rf"#\s?{name}\s*="):
        for place in range(first, last):
            if re.match(pattern, lines[place]):
                end = place + 1 if lines[place].startswith("#") else _end(lines, place)
                lines[place:end] = [line]
                return
    while last > first and not lines[last - 1].strip():
        last -= 1
    lines.insert(last, line)


def _stretch(lines: list[str], section: str) -> tuple[int, int]:
    """Where the section's lines are; it is made where there is none."""
    heads = [(place, found[1]) for place, one in enumerate(lines) if (found := _SECTION.match(one))]
    if not section:
        return 0, heads[0][0] if heads else len(lines)
    for number, (place, name) in enumerate(heads):
        if name == section:
            return place + 1, heads[number + 1][0] if number + 1 < len(heads) else len(lines)
    lines.extend(["", f"[{section}]"])
    return len(lines), len(lines)


def _end(lines: list[str], place: int) -> int:
    """Behind the lines of a value, which may be a list over several."""
    for end in range(place + 1, len(lines) + 1):
        try:
            tomllib.loads("\n".join(lines[place:end]))
        except tomllib.TOMLDecodeError:
            continue
        return end
    return place + 1
