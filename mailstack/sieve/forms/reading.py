"""A script back to the forms that it was made of. Whatever stands in it, the answer is forms, or None: a hand wrote it."""

from typing import Any

import msgspec

from mailstack.sieve.forms.model import Forms, Forwarding, Rule, Vacation
from mailstack.sieve.forms.writing import FORM, SEAL, TITLE, seal

_KINDS: dict[str, type[Any]] = {"vacation": Vacation, "forwarding": Forwarding, "rule": Rule, "then": str}
MOST = 1000  # pieces


def read(source: str) -> Forms | None:
    """None for a script that was written, or changed, by hand."""
    text = source.replace("\r\n", "\n")
    title, _, rest = text.partition("\n")
    sealed, _, body = rest.partition("\n")
    if title != TITLE or not sealed.startswith(SEAL) or sealed.removeprefix(SEAL).strip() != seal(body):
        return None
    lines = [line.removeprefix(FORM) for line in body.split("\n") if line.startswith(FORM)]
    try:
        return _forms(lines)
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError):
        return None


def _forms(lines: list[str]) -> Forms:
    if len(lines) > MOST:
        raise ValueError("too many")
    found: dict[str, list[Any]] = {}
    for line in lines:
        kind, _, value = line.partition(" ")
        found.setdefault(kind, []).append(msgspec.json.decode(value, type=_KINDS[kind]))
    return Forms(
        _one(found, "vacation", Vacation()),
        _one(found, "forwarding", Forwarding()),
        tuple(found.get("rule", ())),
        _one(found, "then", ""),
    )


def _one(found: dict[str, list[Any]], kind: str, default: Any) -> Any:
    values = found.get(kind, [default])
    if len(values) > 1:
        raise ValueError(f"{kind} stands twice")
    return values[0]


def of_data(data: Any) -> Forms:
    """Forms from plain data, as JSON has them. Raises ValueError, whose text names the place."""
    try:
        made: Forms = msgspec.convert(data, type=Forms)
    except msgspec.ValidationError as problem:
        raise ValueError(str(problem)) from None
    return made


def to_data(value: object) -> Any:
    """Forms, or a piece of them, as plain data that JSON can carry."""
    return msgspec.to_builtins(value)
