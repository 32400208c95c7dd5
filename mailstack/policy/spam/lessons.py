"""What people say about mail by moving and marking it. Pure: each function answers with a lesson, or None: nothing was said."""

import enum

from mailstack.store.mailbox.values import How, SpecialUse

REJECTS = "Rejects"  # what was refused and is kept for some days (delivery/rejects.py)


class Lesson(enum.IntEnum):
    """The numbers are those of the file."""

    UNWANTED = 1
    WANTED = 0
    NOTHING = -1  # what was said before is taken back


def is_junk(name: str, use: SpecialUse | None) -> bool:
    """Whether unwanted mail lies there."""
    return use is SpecialUse.JUNK or name in ("Junk", REJECTS)


def of_move(source: tuple[str, SpecialUse | None], destination: tuple[str, SpecialUse | None]) -> Lesson | None:
    """Of messages that a person moved or copied; mailboxes as (name, special use)."""
    if is_junk(*destination):
        return None if is_junk(*source) else Lesson.UNWANTED
    _, use = destination
    if is_junk(*source):
        # What goes from Junk to Trash is still not wanted.
        return None if use in (SpecialUse.TRASH, SpecialUse.DRAFTS) else Lesson.WANTED
    if use is SpecialUse.ARCHIVE and source[1] not in (SpecialUse.SENT, SpecialUse.DRAFTS, SpecialUse.TRASH):
        return Lesson.WANTED  # worth to be kept
    return None


def of_append(destination: tuple[str, SpecialUse | None]) -> Lesson | None:
    """Of what a program puts there: some move messages by fetching and appending them."""
    return Lesson.UNWANTED if is_junk(*destination) else None


def of_marks(mailbox: tuple[str, SpecialUse | None], how: How, answered: bool, keywords: frozenset[str]) -> Lesson | None:
    """Of a STORE: `answered` and `keywords` are what it names. $Junk and $NotJunk are registered (RFC 5788)."""
    named = {one.lower() for one in keywords}
    if how is How.REMOVE:
        return Lesson.NOTHING if named & {"$junk", "$notjunk"} else None
    if "$junk" in named:
        return None if "$notjunk" in named else Lesson.UNWANTED
    if "$notjunk" in named:
        return Lesson.WANTED
    if answered and not is_junk(*mailbox):
        return Lesson.WANTED  # nobody answers what he did not want
    return None
