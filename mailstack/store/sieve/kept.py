"""Compiled scripts in memory: those that were used last, as far as there is room."""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")
ROOM = 32 << 20  # octets of compiled scripts, about: some 400 of twenty rules
LEAST = 500  # octets that an entry takes, whatever is in it


class Kept(Generic[T]):
    """Values by account and name. What is too large for the room is not kept at all."""

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._used = 0
        self._values: OrderedDict[tuple[str, str | None], tuple[T, int]] = OrderedDict()
        self._names: dict[str, set[str | None]] = {}

    def get(self, account: str, name: str | None) -> T | None:
        """None for what is not kept."""
        found = self._values.get((account, name))
        if found is None:
            return None
        self._values.move_to_end((account, name))
        return found[0]

    def keep(self, account: str, name: str | None, value: T, octets: int) -> None:
        """`octets`: what the value takes, about."""
        octets += LEAST
        self._drop(account, name)
        if octets > self._room:
            return
        self._values[account, name] = value, octets
        self._names.setdefault(account, set()).add(name)
        self._used += octets
        while self._used > self._room:
            self._drop(*next(iter(self._values)))

    def forget(self, account: str) -> None:
        for name in tuple(self._names.get(account, ())):
            self._drop(account, name)

    def clear(self) -> None:
        self._values.clear()
        self._names.clear()
        self._used = 0

    def _drop(self, account: str, name: str | None) -> None:
        found = self._values.pop((account, name), None)
        if found is None:
            return
        self._used -= found[1]
        names = self._names[account]
        names.discard(name)
        if not names:
            del self._names[account]
