"""What clients write beside a mailbox or an account (RFC 5464): `.mailstack-annotations` in its folder, name -> value.

Nothing else says it, so it has a file of its own, that goes where its folder goes.
"""

import base64
from collections.abc import Mapping
from pathlib import Path

import orjson

from mailstack.store.disk import Disk
from mailstack.store.errors import AnnotationTooLarge, TooManyAnnotations

FILE = ".mailstack-annotations"
VALUE_LIMIT = 65_536  # octets of one value; RFC 5464 4.1 wants at least 1,024
COUNT_LIMIT = 100  # of one mailbox; RFC 5464 4.1 wants at least 10
SUM_LIMIT = 262_144  # octets of a mailbox's values together


def read(folder: Path) -> dict[str, bytes]:
    """Empty where there are none, or where the file makes no sense."""
    try:
        value = orjson.loads((folder / FILE).read_bytes())
        return {str(name): _load(one) for name, one in value.items()}
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, AttributeError, KeyError):
        return {}


def write(disk: Disk, folder: Path, annotations: Mapping[str, bytes]) -> None:
    """Durable when it returns."""
    text = orjson.dumps({name: _dump(value) for name, value in annotations.items()}, option=orjson.OPT_INDENT_2)
    disk.replace_file(folder / FILE, text + b"\n")


def changed(have: Mapping[str, bytes], changes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """What there is after some changes; None removes one. Raises AnnotationTooLarge and TooManyAnnotations."""
    after = dict(have)
    for name, value in changes.items():
        if value is None:
            after.pop(name, None)
            continue
        if len(value) > VALUE_LIMIT:
            raise AnnotationTooLarge(name)
        after[name] = value
    grows = len(after) > len(have) or sum(map(len, after.values())) > sum(map(len, have.values()))
    if grows and (len(after) > COUNT_LIMIT or sum(map(len, after.values())) > SUM_LIMIT):
        raise TooManyAnnotations
    return after


def _dump(value: bytes) -> object:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode("ascii")}


def _load(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"])  # type: ignore[index]
