"""Causes become answers here, in one table; clients never see exception text."""

from mailstack.store import errors
from mailstack.store.mailbox.annotations import VALUE_LIMIT


class Refused(Exception):
    """A command that is answered NO or BAD, in words for the client."""

    def __init__(self, kind: bytes, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.code = code
        self.text = text


def no(text: str, code: str | None = None) -> Refused:
    return Refused(b"NO", text, code)


def bad(text: str, code: str | None = None) -> Refused:
    return Refused(b"BAD", text, code)


ANSWERS: dict[type[errors.StoreProblem], tuple[str, str]] = {
    errors.NoSuchMailbox: ("NONEXISTENT", "There is no such mailbox"),
    errors.MailboxExists: ("ALREADYEXISTS", "A mailbox of that name is there already"),
    errors.NameRefused: ("CANNOT", "That can't be a mailbox's name"),
    errors.MailboxInUse: ("CANNOT", "INBOX can't be deleted"),
    errors.OverQuota: ("OVERQUOTA", "Not enough room: the account's quota is reached"),
    errors.TooManyMailboxes: ("LIMIT", "The account has all the mailboxes that it may have"),
    errors.TooManyKeywords: ("LIMIT", "The mailbox has all the keywords that it can have"),
    errors.TooManyAnnotations: ("METADATA TOOMANY", "The mailbox has all the annotations that it can have"),
    errors.AnnotationTooLarge: (f"METADATA MAXSIZE {VALUE_LIMIT}", "The annotation is too large"),
    errors.MessageGone: ("EXPUNGEISSUED", "Some messages were removed meanwhile"),
    errors.NoSpace: ("SERVERBUG", "The server's disk is full; try again later"),
    errors.StoreFailed: ("SERVERBUG", "The server's disk failed; try again later"),
}


def answer_to(problem: errors.StoreProblem) -> Refused:
    """NO with the code of RFC 5530."""
    code, text = ANSWERS.get(type(problem), ("SERVERBUG", "Something went wrong on the server"))
    return no(text, code)
