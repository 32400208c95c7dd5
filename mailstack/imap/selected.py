"""One session's view of one mailbox. Rule: sequence numbers exist only in this file and where it hands them out.

The view is the store's own array of UIDs as long as nothing was held back, so that a thousand idle sessions share one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

from mailstack.message.flag import NAMES
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.values import Change, FlagsChanged, MailboxGone, MessagesAdded, MessagesExpunged
from mailstack.wire.imap.sequence import SequenceSet


class FlagNames:
    """A bit mask's flags as the bytes to send, remembered for as long as the keywords stay the same."""

    __slots__ = ("_known", "keywords")

    def __init__(self, keywords: tuple[str | None, ...]) -> None:
        self.keywords = keywords
        self._known: dict[int, bytes] = {}

    def __call__(self, flags: int, recent: bool = False) -> bytes:
        key = flags << 1 | recent
        found = self._known.get(key)
        if found is None:
            names = [name for bit, name in NAMES.items() if flags & bit]
            names += [name for number, name in enumerate(self.keywords) if name is not None and flags >> 8 + number & 1]
            if recent:
                names.append("\\Recent")
            found = self._known[key] = ("(" + " ".join(names) + ")").encode()
        return found


class Selected:
    """A selected mailbox. Made after Account.open(); close() releases it."""

    __slots__ = (
        "_changed",
        "_count",
        "_gone",
        "_stop",
        "_told_keywords",
        "condstore",
        "deleted",
        "flag_names",
        "mailbox",
        "on_change",
        "read_only",
        "recent_from",
        "saved",
        "uids",
    )  # fmt: skip

    def __init__(self, mailbox: Mailbox, read_only: bool, on_change: object) -> None:
        self.mailbox = mailbox
        self.read_only = read_only
        self.uids = mailbox.uids
        self._count = len(self.uids)
        self._gone: set[int] | None = None
        self._changed: set[int] | None = None
        self.deleted = False
        self.condstore = False
        self.saved: array[int] = array("I")
        self.on_change = on_change
        self.flag_names = FlagNames(mailbox.keywords)
        self._told_keywords = mailbox.keywords
        self.recent_from = mailbox.recent_from
        if not read_only:
            mailbox.recent_from = mailbox.uid_next
        self._stop = mailbox.listen(self._hear)

    def close(self) -> None:
        self._stop()
        self.mailbox.release()

    # Numbers --------------------------------------------------------------------------------------------------------

    def number(self, uid: int) -> int | None:
        """The sequence number of a UID in this view."""
        place = bisect_left(self.uids, uid)
        return place + 1 if place < len(self.uids) and self.uids[place] == uid else None

    def choose(self, numbers: SequenceSet, *, uid: bool) -> array[int]:
        """The UIDs that a set names. Raises SyntaxProblem for a sequence number that no message has."""
        if numbers.saved:
            alive = set(self.uids)
            return array("I", [one for one in self.saved if one in alive])
        if uid:
            return numbers.uids(self.uids)
        places = numbers.positions(len(self.uids))
        if places and places[-1] - places[0] + 1 == len(places):
            return self.uids[places[0] : places[-1] + 1]
        return array("I", [self.uids[place] for place in places])

    def recent(self, uid: int) -> bool:
        return uid >= self.recent_from

    @property
    def recent_count(self) -> int:
        return len(self.uids) - bisect_left(self.uids, self.recent_from)

    # Changes --------------------------------------------------------------------------------------------------------

    def _hear(self, change: Change) -> None:
        match change:
            case MessagesAdded(uids):
                if self._gone:
                    self.uids = self.uids + array("I", uids)
                else:
                    # Only what came; the view follows the store's own array as soon as it was told.
                    self.uids = self.mailbox.uids if self._is_prefix(uids) else _merged(self.uids, uids)
            case FlagsChanged(uids, _, origin):
                if origin is not self:
                    self._changed = (self._changed or set()) | set(uids)
            case MessagesExpunged(uids, _):
                self._gone = (self._gone or set()) | set(uids)
            case MailboxGone():
                self.deleted = True
        if callable(self.on_change):
            self.on_change()

    def _is_prefix(self, uids: tuple[int, ...]) -> bool:
        return len(self.mailbox.uids) == len(self.uids) + len(uids)

    @property
    def has_news(self) -> bool:
        return bool(self._gone or self._changed or self._count != len(self.uids) or self.deleted)

    def note_changed(self, uids: array[int] | tuple[int, ...]) -> None:
        """Flags that this session must be told of at the next chance."""
        self._changed = (self._changed or set()) | set(uids)

    def take_changed(self) -> set[int]:
        """What note_changed gathered, to be told now."""
        changed, self._changed = self._changed or set(), None
        return changed

    def told(self, uids: array[int] | tuple[int, ...]) -> None:
        """Flags that this session was just told of."""
        if self._changed:
            self._changed.difference_update(uids)

    def updates(self, *, may_expunge: bool, uid: bool, rev1: bool) -> list[bytes]:
        """What the session was not told yet (RFC 9051 5.2, 7.5.1); expunges only where numbers may change."""
        lines: list[bytes] = []
        if self.mailbox.keywords != self._told_keywords:
            lines += self.flags_lines()
        if self._gone and may_expunge:
            gone, self._gone = self._gone, None
            places = [place for place, one in enumerate(self.uids) if one in gone]
            # What came and went before the client was told of it, it is never told of.
            lines += [b"* %d EXPUNGE\r\n" % (place + 1 - shift) for shift, place in enumerate(places) if place < self._count]
            self.uids = array("I", [one for one in self.uids if one not in gone])
            if self.uids == self.mailbox.uids:
                self.uids = self.mailbox.uids
            before = self._count
            self._count -= sum(1 for place in places if place < before)
        if self._count != len(self.uids):
            self._count = len(self.uids)
            lines.append(b"* %d EXISTS\r\n" % self._count)
            if rev1:
                lines.append(b"* %d RECENT\r\n" % self.recent_count)
        if self._changed:
            changed, self._changed = self._changed, None
            lines += self.flag_lines(sorted(changed), uid=uid)
        return lines

    def flags_lines(self) -> list[bytes]:
        """FLAGS and PERMANENTFLAGS, as they are now."""
        self._told_keywords = self.mailbox.keywords
        self.flag_names = FlagNames(self._told_keywords)
        names = " ".join([*NAMES.values(), *(name for name in self._told_keywords if name is not None)])
        more = "" if self.mailbox.keywords_full else " \\*"
        permanent = "" if self.read_only else names + more
        return [
            f"* FLAGS ({names})\r\n".encode(),
            f"* OK [PERMANENTFLAGS ({permanent})] Flags that are kept\r\n".encode(),
        ]

    def flag_lines(self, uids: list[int], *, uid: bool) -> list[bytes]:
        """FETCH responses with the flags of messages."""
        lines = []
        mailbox = self.mailbox
        for one in uids:
            number, place = self.number(one), mailbox.position(one)
            if number is None or place is None:
                continue
            text = b"FLAGS " + self.flag_names(mailbox.flags[place], self.recent(one))
            if uid or self.condstore:
                text = b"UID %d " % one + text
            if self.condstore:
                text += b" MODSEQ (%d)" % mailbox.modseqs[place]
            lines.append(b"* %d FETCH (%b)\r\n" % (number, text))
        return lines


def _merged(uids: array[int], more: tuple[int, ...]) -> array[int]:
    return array("I", sorted([*uids, *more]))
