"""The configuration of a file and the environment."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import msgspec

from mailstack.config.checks import check
from mailstack.config.settings import Config

DEFAULT_PATH = "/etc/mailstack/mailstack.toml"


class ConfigProblem(Exception):
    """One line for the admin: file, key and reason."""


def load(path: str | Path | None, environment: dict[str, str] | None = None) -> Config:
    """The configuration of a file (None: no file), changed by MAILSTACK_<SECTION>__<KEY>. Raises ConfigProblem.

    MAILSTACK_<SECTION>__<KEY>_FILE names a file that holds the value, as containers get their secrets.
    """
    environment = dict(os.environ) if environment is None else environment
    where = str(path) if path is not None else "environment"
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigProblem(f"{path}: there is no such file; make one: mailstack quickstart you@example.org") from None
        except OSError as problem:
            raise ConfigProblem(f"{path}: can't be read: {problem.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise ConfigProblem(f"{path}: not TOML: {problem}") from None
    overridden: dict[str, str] = {}  # key -> the variable that set it
    for name, text in environment.items():
        if name.startswith("MAILSTACK_") and name != "MAILSTACK_CONFIG":
            key = _override(values, *_of_file(name, text))
            if key is not None:
                overridden[key] = name

    def refuse(key: str, reason: str) -> NoReturn:
        variable = overridden.get(key.partition("[")[0])
        raise ConfigProblem(f"environment: {variable}: {reason}" if variable else f"{where}: {key}: {reason}")

    try:
        config = msgspec.convert(values, Config)
    except msgspec.ValidationError as problem:
        refuse(*_words(str(problem)))
    check(config, refuse)
    return config


def _of_file(name: str, text: str) -> tuple[str, str]:
    """The variable that is meant and its value, which a file may hold. Settings that are paths of files themselves stay."""
    meant = name.removesuffix("_FILE")
    if meant == name or _is_setting(name) or not _is_setting(meant):
        return name, text
    try:
        return meant, Path(text).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8"
        raise ConfigProblem(f"environment: {name}: {text}: can't be read: {reason}") from None


def _is_setting(name: str) -> bool:
    section, found, key = name.removeprefix("MAILSTACK_").lower().partition("__")
    fields = get_type_hints(Config)
    if section not in fields:
        return False
    inner = getattr(fields[section], "__struct_fields__", None)
    return key in inner if found and inner is not None else not found and inner is None


def _override(values: dict[str, Any], name: str, text: str) -> str | None:
    """Set what a variable says; the key that it set. Variables without a section that name no setting are others' business."""
    section, found, key = name.removeprefix("MAILSTACK_").lower().partition("__")
    fields = get_type_hints(Config)
    if not found:
        if section in fields and not hasattr(fields[section], "__struct_fields__"):
            values[section] = text
            return section
        return None
    kind = fields.get(section)
    if kind is None or not hasattr(kind, "__struct_fields__") or key not in kind.__struct_fields__:
        raise ConfigProblem(f"environment: {name}: there is no such setting")
    wanted = get_type_hints(kind)[key]
    value: Any = text
    if wanted is int:
        if not re.fullmatch("-?[0-9]{1,18}", text):
            raise ConfigProblem(f"environment: {name}: a number is needed, not {text!r}")
        value = int(text)
    elif wanted is float:
        if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", text):
            raise ConfigProblem(f"environment: {name}: a number is needed, not {text!r}")
        value = float(text)
    elif wanted is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise ConfigProblem(f"environment: {name}: true or false is needed, not {text!r}")
        value = text.lower() in ("true", "1")
    elif wanted == list[str]:
        value = [piece.strip() for piece in text.split(",") if piece.strip()]
    table = values.setdefault(section, {})
    if not isinstance(table, dict):
        raise ConfigProblem(f"environment: {name}: the file has {section} as something else than a table")
    table[key] = value
    return f"{section}.{key}"


def _words(text: str) -> tuple[str, str]:
    """Key and reason of what the converter says."""
    found = re.fullmatch(r"Object contains unknown field `(.+?)`(?: - at `\$\.?(.*)`)?", text)
    if found:
        return f"{found[2] + '.' if found[2] else ''}{found[1]}", "there is no such setting"
    reason, _, place = text.partition(" - at ")
    return place.strip("`").removeprefix("$.") or "file", reason
