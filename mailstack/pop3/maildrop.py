"""What a session sees of the INBOX. Rule: message numbers exist only in this file; they stay until the session ends."""

from collections.abc import AsyncIterator, Iterator

from mailstack.message.errors import SyntaxProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailbox import Mailbox

INBOX = "INBOX"


class Maildrop:
    """A snapshot (RFC 1939 4): what comes later has no number, and what others removed keeps its own."""

    def __init__(self, account: Account, mailbox: Mailbox) -> None:
        self._account = account
        self._mailbox = mailbox
        self._uids = mailbox.uids[:]
        self._sizes = mailbox.sizes[:]
        self._validity = mailbox.uid_validity
        self._deleted: set[int] = set()

    @classmethod
    async def open(cls, account: Account) -> "Maildrop":
        """Call close() when done. Raises StoreProblem."""
        account.hold()
        try:
            return cls(account, await account.open(INBOX))
        except BaseException:
            account.let_go()
            raise

    def close(self) -> None:
        self._mailbox.release()
        self._account.let_go()

    def index(self, number: int) -> int:
        """Where a message stands that is here and not marked. Raises SyntaxProblem."""
        if not 1 <= number <= len(self._uids) or number in self._deleted:
            raise SyntaxProblem("no such message")
        return number - 1

    def numbers(self) -> Iterator[int]:
        return (number for number in range(1, len(self._uids) + 1) if number not in self._deleted)

    def size(self, number: int) -> int:
        return self._sizes[number - 1]

    def total(self) -> tuple[int, int]:
        """How many messages, and their octets."""
        gone = sum(self.size(number) for number in self._deleted)
        return len(self._uids) - len(self._deleted), sum(self._sizes) - gone

    def unique(self, number: int) -> str:
        """UIDL's name: it never means another message, because a UID does not (RFC 9051 2.3.1.1)."""
        return f"{self._validity}.{self._uids[number - 1]}"

    def email_id(self, number: int) -> str | None:
        """The delivery's name, None where the message is gone."""
        uid = self._uids[number - 1]
        return self._mailbox.email_id(uid) if self._mailbox.position(uid) is not None else None

    def blocks(self, number: int) -> AsyncIterator[bytes]:
        """The message piece by piece. Raises StoreProblem, MessageGone where others removed it."""
        return self._mailbox.blocks(self._uids[number - 1])

    def mark(self, number: int) -> None:
        self._deleted.add(number)

    def unmark_all(self) -> None:
        self._deleted.clear()

    async def remove_marked(self) -> int:
        """All or none; durable when it returns. How many there were. Raises StoreProblem."""
        if not self._deleted:
            return 0
        gone = await self._mailbox.expunge([self._uids[number - 1] for number in sorted(self._deleted)], force=True)
        self._deleted.clear()
        return len(gone)
