"""What the rules look at: all that is known of a message, put together before they run."""

from dataclasses import dataclass
from functools import cached_property

from mailstack.message.address import Address


@dataclass(frozen=True)
class Facts:
    """Of one message, the same for all its recipients. Without slots: what several rules need is worked out once."""

    hostname: str  # ours
    peer: str
    helo: str
    sender: Address | None
    header: bytes
    here: bool = False  # from this machine, or through what hides where it comes from

    @cached_property
    def helo_name(self) -> str:
        return self.helo.rstrip(".").lower()
