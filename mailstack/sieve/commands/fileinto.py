"""fileinto (RFC 5228 4.1), with :create (RFC 5490), :specialuse (RFC 8579), :mailboxid (RFC 9042)."""

from mailstack.sieve.actions import FileInto
from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Command, Extension, Kind, Tag
from mailstack.sieve.flagging import flags_of
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.state import Run
from mailstack.sieve.step import Step

NAME_LIMIT = 1000  # characters


def mailbox_name(text: str, line: int) -> str:
    """A mailbox's name that could be one. Raises SieveProblem."""
    if not text.strip("/ ") or len(text) > NAME_LIMIT or any(character < " " or character == "\x7f" for character in text):
        raise SieveProblem(line, f"{text[:100]!r} is no name of a mailbox")
    return text


def _fileinto(bound: Bound) -> Step:
    mailbox = bound.text(0)
    if mailbox.constant is not None:
        mailbox_name(mailbox.constant, bound.line)
    flags, create, copies = flags_of(bound), bound.has("create"), bound.has("copy")
    use = bound.text("specialuse") if bound.has("specialuse") else None
    id = bound.text("mailboxid") if bound.has("mailboxid") else None
    line = bound.line

    def fileinto(run: Run) -> None:
        if not copies:
            run.keeps = False
        name = mailbox_name(mailbox(run), line)
        which = (use(run) or None) if use else None, (id(run) or None) if id else None
        run.act(FileInto(line, name, flags(run), run.edits, create, *which))

    return fileinto


EXTENSION = Extension("fileinto", commands={"fileinto": Command(_fileinto, (Kind.STRING,))})
COPY = Extension("copy", tags={"fileinto": (Tag("copy"),), "redirect": (Tag("copy"),)})
