"""Who is let in at a door: nobody who is banned, and not more than there may be."""

from mailstack.log import get_logger
from mailstack.policy.limits import Limits
from mailstack.policy.login import BANNED, Logins

log = get_logger()


class Crowd:
    """One for a door. `logins` is None where nobody logs in, and so nobody is banned."""

    def __init__(self, name: str, limits: Limits, logins: Logins | None) -> None:
        self._name = name
        self._limits = limits
        self._logins = logins

    def enter(self, peer: str) -> bool:
        """A TLS handshake counts as a connection that has not logged in."""
        return not self._banned(peer) and self._limits.connected(peer) is None

    def leave(self, peer: str) -> None:
        """It ended; what comes of it is counted by itself."""
        self._limits.disconnected(peer)
        self._limits.closed(peer)

    def refusal(self, peer: str) -> str | None:
        """Why a connection is not let in; None counts it as one that has not logged in."""
        if self._banned(peer):
            return BANNED
        crowd = self._limits.connected(peer)
        if crowd is None:
            return None
        log.warning(f"{self._name}.too_many_connections", peer=peer, reason=crowd.name.lower())
        return crowd.value

    def _banned(self, peer: str) -> bool:
        return self._logins is not None and self._logins.refuses(peer)
