"""What a script decided, as values that delivery carries out. `line` is the line of the script that said so."""

from dataclasses import dataclass

from mailstack.sieve.edits import Edit

Flags = tuple[str, ...] | None  # IMAP's flags and keywords as written; None: the script says nothing of them


@dataclass(frozen=True, slots=True)
class Keep:
    """Into INBOX. `line` is 0 for the implicit keep (RFC 5228 2.10.2)."""

    line: int
    flags: Flags = None
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class FileInto:
    """Into a mailbox (RFC 5228 4.1). It is chosen by `id`, then by `use`, then by its name; the last one that is missing
    is made where `create` says so, else the message goes to INBOX.
    """

    line: int
    mailbox: str
    flags: Flags = None
    edits: tuple[Edit, ...] = ()
    create: bool = False
    use: str | None = None  # special use, with its backslash (RFC 8579)
    id: str | None = None  # MAILBOXID (RFC 9042)


@dataclass(frozen=True, slots=True)
class Redirect:
    """On to another address, in normal form (RFC 5228 4.2)."""

    line: int
    address: str
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Discard:
    """Silently nowhere (RFC 5228 4.4): told for the explanation, there is nothing to do."""

    line: int


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse the message, best with 550 to its sender's server (RFC 5429). Without `protocol` (reject) a notice may tell
    what a reply of SMTP can't.
    """

    line: int
    reason: str
    protocol: bool  # ereject


@dataclass(frozen=True, slots=True)
class Respond:
    """A vacation answer (RFC 5230). Who sends it remembers (handle, to) for `seconds`."""

    line: int
    to: str
    sender: str  # address of the From field
    author: str  # the whole From field's value, as the script has it; "" where it says nothing
    subject: str
    text: str
    is_mime: bool  # `text` is a MIME entity with its header
    handle: str
    seconds: int
    in_reply_to: str  # the Message-ID that is answered, "" without one
    references: str


@dataclass(frozen=True, slots=True)
class Notify:
    """A mail that tells of this one (RFC 5435, 5436)."""

    line: int
    to: tuple[str, ...]
    author: str  # From; "" where the script says nothing
    subject: str
    text: str
    importance: int  # 1 high, 2 normal, 3 low
    fields: tuple[tuple[str, str], ...] = ()  # further header fields
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()


Action = Keep | FileInto | Redirect | Discard | Reject | Respond | Notify


@dataclass(frozen=True, slots=True)
class Remember:
    """An id of a duplicate test, to be kept for `seconds` once the actions are done (RFC 7352 3)."""

    handle: str
    id: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a traced run."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is to be done. With a `problem` it is the implicit keep alone, of the message as it came (RFC 5228 2.10.6)."""

    actions: tuple[Action, ...]
    remember: tuple[Remember, ...] = ()
    problem: "SieveError | None" = None
    trace: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class SieveError:
    """Why a run ended early; `script` is the included script's name, "" for the one that was run."""

    line: int
    reason: str
    script: str = ""
