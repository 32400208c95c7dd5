"""Causes that stop a call into the store. They carry no codes: each door has its own table."""

import errno


class StoreProblem(Exception):
    """The base of all causes; `detail` is for the log, never for a client."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class NoSuchMailbox(StoreProblem):
    """There is no mailbox of that name."""


class MailboxExists(StoreProblem):
    """A mailbox of that name is there already."""


class NameRefused(StoreProblem):
    """A name that can't be a mailbox: empty parts, control characters, too long for a folder."""


class MailboxInUse(StoreProblem):
    """INBOX can't be deleted."""


class OverQuota(StoreProblem):
    """The account has no room for it."""


class TooManyMailboxes(StoreProblem):
    """The account has all the mailboxes that it may have."""


class TooManyKeywords(StoreProblem):
    """All 26 letters of the mailbox are in use."""


class TooManyAnnotations(StoreProblem):
    """The mailbox has all the annotations that it can have."""


class AnnotationTooLarge(StoreProblem):
    """One annotation is larger than is allowed."""


class NoSuchScript(StoreProblem):
    """There is no Sieve script of that name."""


class ScriptExists(StoreProblem):
    """A Sieve script of that name is there already."""


class ScriptInUse(StoreProblem):
    """The active script can't be deleted."""


class TooManyScripts(StoreProblem):
    """The account has all the scripts that it may have."""


class ScriptTooLarge(StoreProblem):
    """One script is larger than is allowed."""


class MessageGone(StoreProblem):
    """The message was expunged meanwhile."""


class NoSpace(StoreProblem):
    """The disk or its quota is full."""


class StoreFailed(StoreProblem):
    """The disk failed or is read-only."""


class DataLocked(StoreProblem):
    """Another server works on this data folder."""


class DataTooNew(StoreProblem):
    """The data was written by a newer version."""


def from_os_error(problem: OSError) -> StoreProblem:
    """The cause that a failed call of the system means."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace(str(problem))
    return StoreFailed(str(problem))


def from_sqlite_error(problem: Exception) -> StoreProblem:
    """The cause that a failed call of SQLite means."""
    return NoSpace(str(problem)) if "full" in str(problem) else StoreFailed(str(problem))
