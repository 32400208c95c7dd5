"""What a client knows of a mailbox that it saw before (RFC 7162 3.2.5)."""

from dataclasses import dataclass

from mailstack.wire.imap.sequence import SequenceSet


@dataclass(frozen=True, slots=True)
class Known:
    """The parameter of SELECT (QRESYNC ...). `numbers` and `matching` pair sequence numbers with UIDs, one by one."""

    uid_validity: int
    modseq: int
    uids: SequenceSet | None = None  # None: all that the mailbox ever had
    numbers: SequenceSet | None = None
    matching: SequenceSet | None = None
