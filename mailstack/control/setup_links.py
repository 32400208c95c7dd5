"""Links by which a device is set up: each works once, for ten minutes. In memory alone, as the password in them is."""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

SECONDS = 600.0
PROFILE_SECONDS = 60.0
KEPT = 1000


@dataclass(frozen=True, slots=True)
class Offer:
    """What a link gives to whoever opens it first."""

    address: str
    label: str
    password: str
    ends: float


class SetupLinks:
    """One for the server. `clock` never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._offers: OrderedDict[bytes, Offer] = OrderedDict()

    def offer(self, address: str, label: str, password: str, seconds: float = SECONDS) -> str:
        """The secret part of a new link."""
        now = self._clock()
        for key in [key for key, one in self._offers.items() if one.ends <= now]:
            del self._offers[key]
        while len(self._offers) >= KEPT:
            self._offers.popitem(last=False)
        token = secrets.token_urlsafe(20)
        self._offers[_key(token)] = Offer(address, label, password, now + seconds)
        return token

    def look(self, token: str) -> Offer | None:
        """What a link gives, which it goes on to give; None when it is over."""
        found = self._offers.get(_key(token))
        return found if found is not None and found.ends > self._clock() else None

    def take(self, token: str) -> Offer | None:
        """The same, and the link is over."""
        found = self.look(token)
        self._offers.pop(_key(token), None)
        return found


def _key(token: str) -> bytes:
    """Looked up by its hash, so that how long that takes says nothing of the others."""
    return hashlib.sha256(token.encode(errors="replace")).digest()
