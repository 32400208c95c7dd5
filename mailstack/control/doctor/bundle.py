"""A file for those who help: findings, settings, versions, counts and the log's end, without secrets and without names."""

import io
import platform
import sqlite3
import ssl
import tarfile
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import orjson

from mailstack import __version__
from mailstack.config import MEANINGS, Config
from mailstack.control.doctor.pseudonyms import Pseudonyms

LINES = 500
SECRET = ("password", "secret", "token", "hmac", "eab_kid")
LIBRARIES = ("cryptography", "dnspython", "aiosmtpd", "starlette", "sqlalchemy", "uvloop")
# Fields of log events that people wrote; and those that hold no names.
FREE, OWN = (
    frozenset({"subject", "title", "text", "display", "client", "agent"}),
    frozenset({"event", "level", "timestamp", "id"}),
)


def members(
    config: Config, findings: list[dict[str, Any]], counts: dict[str, int], log: list[str], people: list[str]
) -> dict[str, str]:
    """Names and texts. `people`: local parts of the addresses here."""
    sections = {key.partition(".")[0] for key in MEANINGS}
    words = {*MEANINGS, *(f"{section}.{name}" for section in sections for name in ("example", "path"))}
    names = Pseudonyms(people, words)
    return {
        "findings.json": _json([{key: names.hide(str(value)) for key, value in row.items()} for row in findings]),
        "settings.json": _json(_settings(config, names)),
        "versions.json": _json(_versions()),
        "counts.json": _json(counts),
        "log.txt": "".join(f"{_line(line, names)}\n" for line in log[-LINES:]),
    }


def packed(files: dict[str, str]) -> bytes:
    """As a .tar.gz, whose members say nothing of this machine."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"mailstack-support/{name}")
            member.size, member.mode = len(text.encode()), 0o600
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n"


def _settings(config: Config, names: Pseudonyms) -> dict[str, Any]:
    """Those that are not the default."""
    plain, found = Config(), {}
    for name in Config.__struct_fields__:
        value, default = getattr(config, name), getattr(plain, name)
        if not hasattr(value, "__struct_fields__"):
            if value != default:
                found[name] = _value(name, value, names)
            continue
        for key in value.__struct_fields__:
            if getattr(value, key) != getattr(default, key):
                found[f"{name}.{key}"] = _value(key, getattr(value, key), names)
    return found


def _value(key: str, value: Any, names: Pseudonyms) -> Any:
    if isinstance(value, bool | int | float):
        return value
    if any(word in key for word in SECRET):
        return "***" if value else ""
    if isinstance(value, list):
        return [names.hide(str(one)) for one in value]
    return names.hide(str(value))


def _versions() -> dict[str, str]:
    found = {"mailstack": __version__, "python": platform.python_version(), "system": platform.system()}
    found |= {"kernel": platform.release(), "sqlite": sqlite3.sqlite_version, "openssl": ssl.OPENSSL_VERSION}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _line(line: str, names: Pseudonyms) -> str:
    """An event, field by field; what is none, as a text."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return names.hide(line)
    if not isinstance(event, dict):
        return names.hide(line)
    return orjson.dumps({key: _field(key, value, names) for key, value in event.items()}).decode()


def _field(key: str, value: Any, names: Pseudonyms) -> Any:
    if key in OWN or value is None or isinstance(value, bool | int | float):
        return value
    if key in FREE or any(word in key for word in SECRET):
        return "…"
    if key == "user" and "@" not in str(value):
        # Sometimes people type their password here.
        return names.hide(str(value)) if names.knows(str(value)) else "…"
    if isinstance(value, list):
        return [_field(key, one, names) for one in value]
    if isinstance(value, dict):
        return {names.hide(str(name)): _field(str(name), one, names) for name, one in value.items()}
    return names.hide(str(value))
