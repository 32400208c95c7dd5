"""One session's view of one mailbox. Rule: sequence numbers exist only in this file and where it hands them out.

The view holds what the client was told of, and nothing else. It is the store's own array of UIDs as long as nothing is held
back, so that a thousand idle sessions share one.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mailstack.imap.contexts import Contexts
from mailstack.message.flag import NAMES
from mailstack.policy.rights import ALL, WRITING, Rights, changeable
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.state import run_in
from mailstack.store.mailbox.values import Change, FlagsChanged, GrantsChanged, MailboxGone, MessagesAdded, MessagesExpunged
from mailstack.wire.imap.responses import vanished
from mailstack.wire.imap.sequence import HIGHEST, SequenceSet, runs

NEVER_RECENT = HIGHEST + 1  # IMAP4rev2 has no \\Recent

if TYPE_CHECKING:
    from mailstack.imap.places import Place


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
        "_added",
        "_changed",
        "_flag_names",
        "_gone",
        "_held_back",
        "_held_from",
        "_own",
        "_told_keywords",
        "_told_rights",
        "condstore",
        "contexts",
        "deleted",
        "examined",
        "fetches_new",
        "mailbox",
        "on_change",
        "place",
        "progress",
        "qresync",
        "recent_from",
        "rev2",
        "saved",
        "told_flags",
        "uid_only",
        "uids",
        "unfetched",
    )  # fmt: skip

    def __init__(self, mailbox: Mailbox, examined: bool, on_change: object, place: Place | None = None) -> None:
        self.mailbox = mailbox
        self.examined = examined
        self.place = place
        self._told_rights = self.rights
        self.uids = mailbox.uids
        self._added: list[int] | None = None
        self._gone: set[int] | None = None
        self._changed: set[int] | None = None
        self.deleted = False
        self.told_flags = True  # whether others' changes of flags are of interest (RFC 5465)
        self.fetches_new = False  # whether new messages are told of by FETCH responses too (RFC 5465)
        self.unfetched: tuple[int, ...] = ()  # those that still are to be
        self._own: set[int] | None = None
        self.condstore = self.qresync = self.rev2 = self.uid_only = False
        self._held_back = False  # whether the client was told of a HIGHESTMODSEQ below that
        self._held_from: int | None = None  # the MODSEQ of the first expunge that is held back
        self.saved: array[int] = array("I")
        self.contexts: Contexts | None = None  # searches that go on (RFC 5267)
        self.on_change = on_change
        self.progress: Callable[[int, int], None] = lambda done, goal: None  # of a search in texts, where a session listens
        self._flag_names: FlagNames | None = None
        self._told_keywords = mailbox.keywords
        self.recent_from = mailbox.recent_from
        if not self.read_only:
            mailbox.recent_from = mailbox.uid_next
        mailbox.listen(self._hear)

    def close(self) -> None:
        self.mailbox.stop_telling(self._hear)
        self.mailbox.release()

    @property
    def own(self) -> bool:
        """Whether the mailbox is in the session's own account."""
        return self.place is None or not self.place.shared

    def in_account(self, place: Place) -> bool:
        """Whether the mailbox is in the account of a place."""
        return self.place is not None and self.place.account is place.account

    @property
    def rights(self) -> Rights:
        """As they are now."""
        return ALL if self.place is None else self.place.rights_in(self.mailbox)

    @property
    def read_only(self) -> bool:
        """By EXAMINE, or for lack of rights (RFC 4314 5.2)."""
        return self.examined or not self.rights & WRITING

    def suit(self, enabled: frozenset[str]) -> None:
        """What the client asked for with ENABLE, and what that changes in what it is told."""
        self.condstore = "CONDSTORE" in enabled
        self.qresync = "QRESYNC" in enabled
        self.rev2 = "IMAP4REV2" in enabled
        self.uid_only = "UIDONLY" in enabled
        if self.rev2:
            self.recent_from = NEVER_RECENT

    # Numbers --------------------------------------------------------------------------------------------------------

    def number(self, uid: int) -> int | None:
        """The sequence number of a UID in this view."""
        place = bisect_left(self.uids, uid)
        return place + 1 if place < len(self.uids) and self.uids[place] == uid else None

    def numbers(self, uids: Sequence[int]) -> Sequence[int]:
        """Sequence numbers of ascending UIDs, 0 where there is none; a run of neighbours is counted, not searched."""
        run = run_in(self.uids, uids)
        return range(run.start + 1, run.stop + 1) if run is not None else [self.number(uid) or 0 for uid in uids]

    def label(self, uid: int) -> int | None:
        """By what a FETCH response names a message: its number, or its UID after ENABLE UIDONLY (RFC 9586 3.3)."""
        number = self.number(uid)
        return uid if number is not None and self.uid_only else number

    def labels(self, uids: Sequence[int]) -> Sequence[int]:
        """The same of ascending UIDs, 0 where there is no such message."""
        if self.uid_only:
            return [self.label(uid) or 0 for uid in uids]
        return self.numbers(uids)

    @property
    def fetch_word(self) -> bytes:
        return b"UIDFETCH" if self.uid_only else b"FETCH"

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

    def known_up_to(self, numbers: SequenceSet, matching: SequenceSet) -> int:
        """The highest UID at which a client's sequence numbers are still right (RFC 7162 3.2.5.2); 0 when there is none."""
        found = 0
        pairs = zip(numbers.each(len(self.uids)), matching.each(HIGHEST), strict=False)
        for number, uid in pairs:
            if self.uids[number - 1] == uid:
                found = max(found, uid)
        return found

    def search_failed(self, *, saves: bool) -> None:
        """RFC 5182 2.1: a search that was to be saved and is answered NO leaves nothing in `$`."""
        if saves:
            self.saved = array("I")

    def recent(self, uid: int) -> bool:
        return uid >= self.recent_from

    @property
    def recent_count(self) -> int:
        return len(self.uids) - bisect_left(self.uids, self.recent_from)

    # Changes --------------------------------------------------------------------------------------------------------

    def _hear(self, change: Change) -> None:
        if self.contexts is not None:
            self.contexts.hear(change)
        match change:
            case MessagesAdded(uids):
                self._added = [*(self._added or ()), *uids]
            case FlagsChanged(uids, _, origin):
                if origin is not self and self.told_flags:
                    self._changed = (self._changed or set()) | set(uids)
            case MessagesExpunged(uids, modseq):
                gone = set(uids)
                if self._added:
                    # What came and went before the client was told of it, it is never told of.
                    untold = gone.intersection(self._added)
                    self._added = [uid for uid in self._added if uid not in untold]
                    gone -= untold
                if gone:
                    if not self._gone:
                        self._held_from = modseq
                    self._gone = (self._gone or set()) | gone
            case MailboxGone():
                self.deleted = True
            case GrantsChanged():
                pass  # rights are read each time
        if callable(self.on_change):
            self.on_change()

    def rest(self) -> None:
        """The client waits now: what can be made again is not kept."""
        self._flag_names = None

    @property
    def flag_names(self) -> FlagNames:
        """As the keywords are now: another session may have brought one in while this one waited."""
        keywords = self.mailbox.keywords
        if self._flag_names is None or keywords != self._flag_names.keywords:
            self._flag_names = FlagNames(keywords)
        return self._flag_names

    def did_itself(self, uids: tuple[int, ...]) -> None:
        """Messages that came by this session: no FETCH response tells of them unasked."""
        self._own = (self._own or set()) | set(uids)

    @property
    def has_other_news(self) -> bool:
        """Beside expunges."""
        return bool(self._changed or self._added or self.deleted) or self._flags_differ

    @property
    def has_news(self) -> bool:
        return bool(self._gone or self._changed or self._added or self.deleted) or self._flags_differ

    @property
    def _flags_differ(self) -> bool:
        return self.mailbox.keywords != self._told_keywords or (not self.own and self.rights != self._told_rights)

    def flag_news(self) -> list[bytes]:
        """FLAGS, when there are other keywords, or other rights, than the client was told of."""
        return self.flags_lines() if self._flags_differ else []

    def new_messages(self, *, rev1: bool) -> list[bytes]:
        """EXISTS: messages that came are in the view from here on."""
        if not self._added:
            return []
        added, self._added = self._added, None
        if self.fetches_new:
            own, self._own = self._own or set(), None
            self.unfetched += tuple(uid for uid in added if uid not in own)
        if not self._gone and len(self.uids) + len(added) == len(self.mailbox.uids):
            self.uids = self.mailbox.uids  # the view and what came are all that is there
        else:
            self.uids = self.uids + array("I", added)
        lines = [b"* %d EXISTS\r\n" % len(self.uids)]
        if rev1:
            lines.append(b"* %d RECENT\r\n" % self.recent_count)
        return lines

    def _share(self) -> None:
        if len(self.uids) == len(self.mailbox.uids) and self.uids == self.mailbox.uids:
            self.uids = self.mailbox.uids

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
        lines = self.flag_news()
        held = self._gone is not None and not may_expunge
        if self._gone and may_expunge:
            lines += self._expunges()
        lines += self.new_messages(rev1=rev1)
        if self._changed:
            changed, self._changed = self._changed, None
            lines += self.flag_lines(sorted(changed), uid=uid)
        if self.qresync and (held or self._held_back):
            # A client that breaks off now must not take the MODSEQs of what it was told for all that happened (RFC 7162 3.2):
            # each answer can tell of later ones.
            self._held_back = held
            known = self._held_from - 1 if held and self._held_from is not None else self.mailbox.highest_modseq
            lines.append(b"* OK [HIGHESTMODSEQ %d] What the client knows of\r\n" % known)
        return lines

    def _expunges(self) -> list[bytes]:
        """EXPUNGE, or VANISHED after ENABLE QRESYNC or UIDONLY."""
        gone, self._gone = self._gone or set(), None
        before = self.contexts.expunged(self, gone) if self.contexts is not None else []
        if self.qresync or self.uid_only:
            lines = list(vanished(runs([one for one in self.uids if one in gone])))
        else:
            lines = []
            shift = 0
            for first, last in runs([place for place, one in enumerate(self.uids) if one in gone]):
                count = last - first + 1
                lines.append(b"* %d EXPUNGE\r\n" % (first + 1 - shift) * count)  # neighbours go by the same number
                shift += count
        self.uids = array("I", [one for one in self.uids if one not in gone])
        self._share()
        return before + lines

    def flags_lines(self) -> list[bytes]:
        """FLAGS and PERMANENTFLAGS, as they are now."""
        self._told_keywords, self._told_rights = self.mailbox.keywords, self.rights
        keywords = [name for name in self._told_keywords if name is not None]
        names = " ".join([*NAMES.values(), *keywords])
        may = 0 if self.read_only else changeable(self._told_rights)
        kept = [name for bit, name in NAMES.items() if may & bit]
        if Rights.WRITE in self._told_rights and not self.read_only:
            kept += keywords if self.mailbox.keywords_full else [*keywords, "\\*"]
        return [
            f"* FLAGS ({names})\r\n".encode(),
            f"* OK [PERMANENTFLAGS ({' '.join(kept)})] Flags that are kept\r\n".encode(),
        ]

    def flag_lines(self, uids: list[int], *, uid: bool) -> list[bytes]:
        """FETCH responses with the flags of messages."""
        mailbox, names = self.mailbox, self.flag_names
        flags, modseqs = mailbox.flags, mailbox.modseqs
        word, with_uid = self.fetch_word, (uid or self.condstore or self.rev2) and not self.uid_only
        lines = []
        for one, number, place in zip(uids, self.labels(uids), mailbox.places(uids), strict=True):
            if not number or place is None:
                continue
            text = b"FLAGS " + names(flags[place], self.recent(one))
            if with_uid:
                text = b"UID %d " % one + text
            if self.condstore:
                text += b" MODSEQ (%d)" % modseqs[place]
            lines.append(b"* %d %b (%b)\r\n" % (number, word, text))
        return lines
