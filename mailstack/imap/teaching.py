"""What a client does with mail is what its person thinks of it: moves to and from Junk, marks, and answers are lessons.

Rule: the command is done before; whatever comes of the lesson changes nothing for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailstack.message.flag import Flags
from mailstack.policy.spam.lessons import Lesson, of_append, of_marks, of_move
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.values import How, SpecialUse

if TYPE_CHECKING:
    from mailstack.imap.places import Place
    from mailstack.imap.session import Session


def _named(mailbox: Mailbox) -> tuple[str, SpecialUse | None]:
    return mailbox.name, mailbox.special_use


async def teach_move(session: Session, place: Place, uids: Sequence[int]) -> None:
    """Messages of the selected mailbox are in another one now; `uids` are those there."""
    learner, selected = session.services.learner, session.box
    if learner is None or not uids or place.shared or not selected.in_account(place):
        return
    try:
        destination = place.account.look(place.name)
    except NoSuchMailbox:
        return
    lesson = of_move(_named(selected.mailbox), _named(destination))
    if lesson is not None:
        await learner.teach(place.account, destination, uids, lesson)


async def teach_append(session: Session, place: Place, uids: Sequence[int]) -> None:
    """Messages were put into a mailbox of one's own."""
    learner = session.services.learner
    if learner is None or not uids or place.shared:
        return
    try:
        destination = place.account.look(place.name)
    except NoSuchMailbox:
        return
    lesson = of_append(_named(destination))
    if lesson is not None:
        await learner.teach(place.account, destination, uids, lesson)


async def teach_marks(session: Session, uids: Sequence[int], how: How, flags: Flags, keywords: frozenset[str]) -> None:
    """Messages of the selected mailbox were marked."""
    learner, selected = session.services.learner, session.box
    if learner is None or not uids or selected.place is None or selected.place.shared:
        return
    lesson: Lesson | None = of_marks(_named(selected.mailbox), how, Flags.ANSWERED in flags, keywords)
    if lesson is not None:
        await learner.teach(selected.place.account, selected.mailbox, uids, lesson)
