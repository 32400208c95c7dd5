"""Files of other programs get their names, and the facts that tell of them. Blocking code on values."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import msgspec

from mailstack.store.mailbox.change import Arrival, added
from mailstack.store.mailbox.facts import Fact
from mailstack.store.mailbox.maildir import Maildir

ADOPTED_AT_ONCE = 4096


class Adoption(msgspec.Struct, frozen=True, gc=False):
    """A file that gets a UID, or keeps the one in its name. There may be 100,000: the collector need not look at them."""

    source: bytes
    target: bytes
    base: bytes
    uid: int
    flags: int
    size: int
    date: int
    fresh: bool
    known: bool  # it was in this mailbox before


def rename_adopted(maildir: Maildir, adoptions: Sequence[Adoption]) -> list[Adoption]:
    """Give the files their names; those that vanished meanwhile are left out."""
    done: list[Adoption] = []
    with maildir.ours([path for adoption in adoptions for path in (adoption.source, adoption.target)]):
        for adoption in adoptions:
            if adoption.source == adoption.target:
                done.append(adoption)
                continue
            with contextlib.suppress(FileNotFoundError):
                maildir.disk.rename(maildir.path(adoption.source), maildir.path(adoption.target))
                done.append(adoption)
    maildir.sync_parents(adoption.target for adoption in done if adoption.source != adoption.target)
    return done


def facts_of(adopted: Sequence[Adoption], modseq: int, now: int) -> list[list[Fact]]:
    """What each commit says, some thousand messages at a time, so that the event loop has others' turns between them.

    `modseq` is the highest that was given.
    """
    modseqs = itertools.count(modseq + 1)
    return [
        list(_facts(adopted[first : first + ADOPTED_AT_ONCE], modseqs, now))
        for first in range(0, len(adopted), ADOPTED_AT_ONCE)
    ]


def _facts(some: Sequence[Adoption], modseqs: Iterator[int], now: int) -> Iterator[Fact]:
    """In the order of UIDs: no session may hear of a message between those that it knows."""
    for (known, fresh), chosen in itertools.groupby(some, lambda one: (one.known, one.fresh)):
        arrivals = [Arrival(one.uid, one.flags, one.size, one.date, one.base) for one in chosen]
        # Strangers came now, as far as this mailbox knows; of others the index has forgotten when they came.
        yield added(next(modseqs), arrivals, fresh=fresh, saved=0 if known else now)


def forget(*lists: list[Adoption]) -> None:
    """Let go of them piece by piece: to free 100,000 at once would hold the interpreter, and the event loop with it."""
    for adoptions in lists:
        while adoptions:
            del adoptions[-ADOPTED_AT_ONCE:]
