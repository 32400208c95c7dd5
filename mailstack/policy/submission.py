"""Mail from people who logged in: in their own name, and complete (RFC 6409)."""

import random
from collections.abc import Callable
from email.utils import formatdate

from mailstack.message.address import Address
from mailstack.message.header import addresses, authors, every, first
from mailstack.policy.inbound import HEADER_LIMIT, Recipients, forged, loop_verdict
from mailstack.policy.milters import Milters
from mailstack.policy.routing import Route
from mailstack.policy.sending import Sending
from mailstack.policy.spam.senders import Senders
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import YES, Accept, Defer, Reject, Verdict, reject
from mailstack.store.content import Content
from mailstack.store.users.directory import Directory

# What only servers write, or what would tell of hidden recipients.
_LEFT_OUT = frozenset({b"bcc", b"resent-bcc", b"return-path"})

AUTHORS_LIMIT = 16384  # octets of From and Sender
MOST_REMEMBERED = 100  # recipients of one message


class SubmissionPolicy:
    """Ports 587 and 465."""

    def __init__(
        self,
        recipients: Recipients,
        directory: Directory,
        hostname: str,
        clock: Callable[[], float],
        randomness: random.Random,
        sending: Sending | None = None,
        senders: Senders | None = None,
        milters: Milters | None = None,
    ) -> None:
        self.milters = milters
        self._senders = senders
        self.recipients = recipients
        self._directory = directory
        self._hostname = hostname
        self._clock = clock
        self._random = randomness
        self._sending = sending  # None: nothing is counted

    async def sender(self, transaction: Transaction) -> Verdict:
        """The envelope's sender must be the account's; the null sender is for notices of its programs."""
        assert transaction.account is not None
        if transaction.sender is None or await self._directory.owns(transaction.account, transaction.sender):
            return await self._sending.begin(transaction) if self._sending is not None else YES
        return reject(550, "5.7.1", f"{transaction.account.address} may not send as {transaction.sender}", "sender")

    async def recipient(self, transaction: Transaction, address: Address) -> tuple[Verdict, tuple[Route, ...]]:
        verdict, routes = await self.recipients.judge(transaction, address)
        if isinstance(verdict, Accept) and self._sending is not None:
            verdict = await self._sending.recipient(transaction, address, routes)
            if isinstance(verdict, Accept):
                transaction.outside[address.key] = await self.recipients.outside(routes)
        return verdict, routes

    async def body(self, transaction: Transaction, content: Content) -> Verdict:
        """Every address in From and Sender is the account's; Date and Message-ID are added where they are missing."""
        assert transaction.account is not None
        verdict = loop_verdict(content)
        if not isinstance(verdict, Accept):
            return verdict
        header = content.header(HEADER_LIMIT)
        named = every(header, b"from")
        if sum(map(len, (*named, *every(header, b"sender")))) > AUTHORS_LIMIT:
            return reject(554, "5.6.0", "From and Sender are too long", "from")
        if not named or not all(addresses(value) for value in named):
            return reject(554, "5.6.0", "The message has no address in From", "no-from")
        for address in authors(header):
            if address is None:
                return reject(550, "5.7.1", "From or Sender holds what is no address", "from")
            if not await self._directory.owns(transaction.account, address):
                return reject(550, "5.7.1", f"{transaction.account.address} may not send as {address}", "from")
        prefix = b""
        if first(header, b"date") is None:
            prefix += f"Date: {formatdate(self._clock())}\r\n".encode()
        if first(header, b"message-id") is None:
            prefix += f"Message-ID: <{transaction.id}.{self._random.getrandbits(64):x}@{self._hostname}>\r\n".encode()
        without = frozenset(name for name in _LEFT_OUT if first(header, name) is not None) | forged(content)
        accepted = Accept(prefix, without)
        filtered = await self.milters.ask(transaction, content, accepted) if self.milters is not None else None
        if isinstance(filtered, Defer | Reject):
            return filtered
        if self._sending is not None:
            # Last of all: what is counted is sent.
            verdict = await self._sending.take(transaction)
            if not isinstance(verdict, Accept):
                return verdict
        self._remember(transaction)
        return filtered.into(accepted) if filtered is not None else accepted

    def _remember(self, transaction: Transaction) -> None:
        """Whom an account writes to is no stranger when he answers."""
        if self._senders is not None and transaction.account is not None:
            folder = self._directory.folder(transaction.account).path
            names = [f"address:{one.address.key}" for one, _ in transaction.recipients[:MOST_REMEMBERED]]
            self._senders.count(folder, names, wrote=1.0)
