"""What moving and marking says."""

import pytest

from mailstack.policy.spam.lessons import Lesson, of_append, of_marks, of_move
from mailstack.store.mailbox.values import How, SpecialUse

INBOX, JUNK, OTHER = ("INBOX", None), ("Junk", SpecialUse.JUNK), ("Work", None)
TRASH, ARCHIVE, SPAM = ("Trash", SpecialUse.TRASH), ("Archive", SpecialUse.ARCHIVE), ("Spam", SpecialUse.JUNK)
Box = tuple[str, SpecialUse | None]
REJECTS, SENT = ("Rejects", None), ("Sent", SpecialUse.SENT)


@pytest.mark.parametrize(
    ("source", "destination", "lesson"),
    [
        (INBOX, JUNK, Lesson.UNWANTED),
        (TRASH, SPAM, Lesson.UNWANTED),
        (JUNK, INBOX, Lesson.WANTED),
        (REJECTS, OTHER, Lesson.WANTED),
        (JUNK, TRASH, None),
        (JUNK, REJECTS, None),
        (INBOX, OTHER, None),
        (INBOX, ARCHIVE, Lesson.WANTED),
        (SENT, ARCHIVE, None),
    ],
)
def test_moves(
    source: tuple[str, SpecialUse | None], destination: tuple[str, SpecialUse | None], lesson: Lesson | None
) -> None:
    assert of_move(source, destination) is lesson


@pytest.mark.parametrize(
    ("how", "answered", "keywords", "lesson"),
    [
        (How.ADD, False, {"$Junk"}, Lesson.UNWANTED),
        (How.ADD, False, {"$notjunk"}, Lesson.WANTED),
        (How.REPLACE, True, {"$Junk"}, Lesson.UNWANTED),
        (How.ADD, False, {"$Junk", "$NotJunk"}, None),
        (How.REMOVE, False, {"$Junk"}, Lesson.NOTHING),
        (How.REMOVE, True, set(), None),
        (How.ADD, True, set(), Lesson.WANTED),
        (How.ADD, False, {"other"}, None),
    ],
)
def test_marks(how: How, answered: bool, keywords: set[str], lesson: Lesson | None) -> None:
    assert of_marks(INBOX, how, answered, frozenset(keywords)) is lesson


def test_appends() -> None:
    assert of_append(JUNK) is Lesson.UNWANTED
    assert of_append(INBOX) is None
