"""What sessions read of one open mailbox: its state, on the event loop."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailstack.message.flag import KEYWORD_COUNT, KEYWORDS, Flags, keyword_bit, keyword_numbers
from mailstack.store.errors import MessageGone
from mailstack.store.mailbox.filename import email_id, unique_of
from mailstack.store.mailbox.grants import NOBODY, Grants
from mailstack.store.mailbox.marks import Marks
from mailstack.store.mailbox.orders import Orders
from mailstack.store.mailbox.state import MailboxState, Tombstones, run_in
from mailstack.store.mailbox.values import Brief, MailboxStatus, SpecialUse

if TYPE_CHECKING:
    from mailstack.store.mailbox.account import Account

NEVER_SEEN = (0, 0)  # the times of a folder that must be looked at


class View:
    """What is known of it, in memory."""

    def __init__(self, account: Account, name: str, folder: str, marks: Marks) -> None:
        self._account = account
        self.name = name
        self.folder = folder
        self.marks = marks
        self.grants: Grants = NOBODY
        self.state: MailboxState | None = None
        self.deleted = False
        self.keywords_unsure = False  # whether dovecot-keywords may differ from the state's
        self.users = 0
        self.recent_from = 0  # UIDs below were seen by a session with write access
        self.folder_times = NEVER_SEEN
        self.own_changes = False  # since the last scan
        self.scanned_at = 0.0
        self._brief: Brief | None = None
        self._keywords: tuple[str | None, ...] = ()
        self._orders: Orders | None = None
        self.text_checked = False  # whether its search index was compared since the server started
        self.text_pending = False  # whether its search index is to be
        self.text_others: frozenset[int] | None = None  # UIDs that the index has for other messages; None: not looked yet
        self._prefix = os.fsencode(folder) + b"/" if folder else b""

    @property
    def loaded(self) -> MailboxState:
        assert self.state is not None, "the mailbox is not open"
        return self.state

    @property
    def complete(self) -> bool:
        """Whether all that is in the folder was known once: from the index, or by a look."""
        return self.folder_times != NEVER_SEEN or self.scanned_at > 0

    @property
    def id(self) -> str:
        return self.marks.id

    @property
    def special_use(self) -> SpecialUse | None:
        return SpecialUse(self.marks.special_use) if self.marks.special_use else None

    @property
    def uid_validity(self) -> int:
        return self.marks.uid_validity

    @property
    def uid_next(self) -> int:
        return self.loaded.uid_next

    @property
    def highest_modseq(self) -> int:
        return self.loaded.highest_modseq

    @property
    def keywords(self) -> tuple[str | None, ...]:
        """By number of their letter; None where a letter is free."""
        names = self.loaded.keywords
        if list(self._keywords) != names:
            self._keywords = tuple(names)  # one for all sessions
        return self._keywords

    @property
    def orders(self) -> Orders:
        """What SORT and THREAD keep; made when one of them is first asked for."""
        if self._orders is None:
            self._orders = Orders()
        return self._orders

    @property
    def keywords_full(self) -> bool:
        """Whether no further keyword can be taken: every letter stands in some file's name."""
        return self.loaded.letters_in_use() == (1 << KEYWORD_COUNT) - 1

    @property
    def uids(self) -> array[int]:
        return self.loaded.uids

    @property
    def flags(self) -> array[int]:
        return self.loaded.flags

    @property
    def modseqs(self) -> array[int]:
        return self.loaded.modseqs

    @property
    def sizes(self) -> array[int]:
        return self.loaded.sizes

    @property
    def dates(self) -> array[int]:
        return self.loaded.dates

    @property
    def save_dates(self) -> array[int]:
        """When each message came into this mailbox (RFC 8514), seconds since the epoch; 0 where nobody knows."""
        return self.loaded.saved

    @property
    def tombstones(self) -> Tombstones:
        return self.loaded.tombstones

    def position(self, uid: int) -> int | None:
        return self.loaded.position(uid)

    def places(self, uids: Sequence[int]) -> Sequence[int | None]:
        """Positions of ascending UIDs; None where one is not there. Neighbours are counted, not searched."""
        state = self.loaded
        run = run_in(state.uids, uids)
        return run if run is not None else [state.position(uid) for uid in uids]

    def email_id(self, uid: int) -> str:
        """The unique part of the file's name, which copies keep."""
        place = self.loaded.position(uid)
        if place is None:
            raise MessageGone
        return unique_of(self.loaded.bases[place]).decode("ascii")

    def object_id(self, place: int) -> bytes:
        """EMAILID as clients see it; of a position."""
        return email_id(self.loaded.bases[place])

    def keyword_names(self, flags: int) -> list[str]:
        names = self.loaded.keywords
        return [name for number in keyword_numbers(flags) if (name := names[number]) is not None]

    def flags_of(self, flags: Flags, keywords: frozenset[str]) -> int:
        """Bits with the keywords' letters; all of them must be known here."""
        lower = {name.lower(): number for number, name in enumerate(self.loaded.keywords) if name is not None}
        # In plain integers: the complement of an IntFlag would lose the bits above its own.
        bits = int(flags) & ~int(KEYWORDS)
        for keyword in keywords:
            bits |= int(keyword_bit(lower[keyword.lower()]))
        return bits

    def status(self) -> MailboxStatus:
        state = self.loaded
        deleted = int(Flags.DELETED)
        gone = [place for place, flags in enumerate(state.flags) if flags & deleted]
        return MailboxStatus(
            messages=len(state.uids),
            unseen=state.count_without(Flags.SEEN),
            deleted=len(gone),
            recent=sum(1 for uid in state.uids[-1000:] if uid >= self.recent_from) if self.recent_from else 0,
            uid_next=state.uid_next,
            uid_validity=self.marks.uid_validity,
            highest_modseq=state.highest_modseq,
            size=state.octets,
            deleted_size=sum(state.sizes[place] for place in gone),
            id=self.marks.id,
        )

    def brief(self) -> Brief:
        """Counted once a change, whoever asks."""
        state = self.loaded
        if self._brief is None or self._brief.highest_modseq != state.highest_modseq:
            unseen = state.count_without(Flags.SEEN)
            self._brief = Brief(len(state.uids), state.uid_next, self.uid_validity, state.highest_modseq, unseen)
        return self._brief

    def moved(self, name: str, folder: str) -> None:
        """The mailbox was renamed."""
        self.name = name
        self.folder = folder
        self._prefix = os.fsencode(folder) + b"/" if folder else b""
