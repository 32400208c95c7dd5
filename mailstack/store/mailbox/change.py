"""A change in the making: what a commit is going to make durable."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from mailstack.store.mailbox import keywords
from mailstack.store.mailbox.facts import Added, Entry, pack
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.maildir import Maildir, Naming


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A message that comes into a mailbox."""

    uid: int
    flags: int
    size: int
    date: int
    base: bytes


def added(modseq: int, arrivals: Sequence[Arrival], *, fresh: bool, saved: int) -> Added:
    """`saved`: seconds since the epoch; 0 where nobody knows."""
    return Added(
        modseq=modseq,
        uids=pack("I", [one.uid for one in arrivals]),
        flags=pack("Q", [one.flags for one in arrivals]),
        sizes=pack("Q", [one.size for one in arrivals]),
        dates=pack("q", [one.date for one in arrivals]),
        bases=b"\n".join([one.base for one in arrivals]),
        fresh=fresh,
        saved=saved,
    )


@dataclass(slots=True)
class Write:
    """What is made durable, in this order: names, folders, the row that answers stand on."""

    naming: Naming
    entry: Entry = field(default_factory=lambda: Entry([]))
    taken: list[tuple[Mailbox, list[str | None]]] = field(default_factory=list)  # with the keywords they had
    sync_first: list[bytes] = field(default_factory=list)  # paths whose folders must be durable before the commit
    deliveries: list[tuple[str, int, int]] = field(default_factory=list)
    told_by_files: bool = False  # the row says only what the files say: it may follow later

    def take_keywords(self, mailbox: Mailbox, wanted: frozenset[str]) -> None:
        """Letters for keywords that the mailbox did not have."""
        if not wanted:
            return
        had = mailbox.loaded.keywords
        names = keywords.assign(had, wanted, mailbox.loaded.letters_in_use())
        if names is None and mailbox.keywords_unsure:
            names = had
        if names is not None:
            self.naming.keywords.append((self.naming.maildir.folder_path(mailbox.folder), names))
            self.taken.append((mailbox, had))
            mailbox.loaded.keywords = names


@contextlib.contextmanager
def planned(maildir: Maildir) -> Iterator[Write]:
    """A change in the making. When it fails, the keywords are those that were there before."""
    write = Write(Naming(maildir))
    try:
        yield write
    except BaseException:
        for mailbox, had in reversed(write.taken):
            mailbox.loaded.keywords = had
            # The file may have the others by now: it is written again before it is needed.
            mailbox.keywords_unsure = True
        raise
    for mailbox, _ in write.taken:
        mailbox.keywords_unsure = False
