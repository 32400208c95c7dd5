"""How many connections a client may hold at the HTTP door. They do not log in, so the other doors' count is not theirs."""

from collections.abc import Callable

from mailstack.log import get_logger
from mailstack.policy.login import is_loopback
from mailstack.policy.networks import client_of

log = get_logger()
EACH, ALL = 100, 5000  # of one address (an IPv6 /64), and of everybody


class WebCrowd:
    """A gate of net/serving.py, too. `spared`: proxies that speak for many. They and this machine always get in."""

    def __init__(self, spared: Callable[[str], bool], each: int = EACH, all: int = ALL) -> None:
        self._spared = spared
        self._each = each
        self._all = all
        self._open = 0
        self._of: dict[str, int] = {}

    def enter(self, peer: str) -> bool:
        client = client_of(peer)
        have = self._of.get(client, 0)
        many = have >= self._each
        if (many or self._open >= self._all) and not is_loopback(peer) and not self._spared(peer):
            log.warning("http.too_many_connections", peer=peer, reason="address" if many else "all")
            return False
        self._of[client] = have + 1
        self._open += 1
        return True

    def leave(self, peer: str) -> None:
        """One that was let in is gone."""
        client = client_of(peer)
        self._open -= 1
        left = self._of[client] - 1
        if left:
            self._of[client] = left
        else:
            del self._of[client]
