"""What an account holds at one moment, for those who copy its files."""

from array import array
from collections.abc import Iterable

import msgspec

from mailstack.store.mailbox.mailbox import Mailbox


class Frozen(msgspec.Struct, frozen=True):
    """What is known of a mailbox while its files stand still. Arrays as octets: UIDs of 4, flags of 8."""

    name: str
    uid_validity: int
    uid_next: int
    uids: bytes
    flags: bytes

    def without(self, gone: Iterable[int]) -> "Frozen":
        """Without these UIDs."""
        left_out = frozenset(gone)
        uids, flags = array("I", self.uids), array("Q", self.flags)
        kept = [(uid, bits) for uid, bits in zip(uids, flags, strict=True) if uid not in left_out]
        columns = array("I", [uid for uid, _ in kept]).tobytes(), array("Q", [bits for _, bits in kept]).tobytes()
        return Frozen(self.name, self.uid_validity, self.uid_next, *columns)


def frozen(mailbox: Mailbox) -> Frozen:
    """In the turn, loaded, with all promises kept."""
    state = mailbox.loaded
    return Frozen(mailbox.name, mailbox.uid_validity, mailbox.uid_next, state.uids.tobytes(), state.flags.tobytes())
