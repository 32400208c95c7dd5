"""What was refused by doubt can be seen for some days: a copy in a mailbox Rejects of whom it was for, who may move it out.

Rule: nothing here answers for a message. The sender was told that it was refused, and what can't be kept is not.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping

from mailstack.log import get_logger
from mailstack.message.trace import return_path
from mailstack.policy.judgement import Judgement, evidence
from mailstack.policy.spam.lessons import REJECTS
from mailstack.policy.transaction import Transaction
from mailstack.store.content import Content
from mailstack.store.errors import NoSuchMailbox, StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.foldername import to_folder
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import NewMessage
from mailstack.store.tasks import ended
from mailstack.store.trace import Trace
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.wire.smtp import Reply

KEYWORD = "$Refused"
MOST = 500  # messages; more are not kept
FIRST_SWEEP_SECONDS = 120.0  # a start has more to do
SWEEP_SECONDS = 6 * 3600.0
log = get_logger()


class Rejects:
    """`seconds`: how long copies are kept; None: none are made, and those that are there go when their time is over."""

    def __init__(
        self, directory: Directory, mailboxes: Mailboxes, trace: Trace, seconds: float | None, clock: Callable[[], float]
    ) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._trace = trace
        self._clock = clock
        self.seconds = seconds
        self._task: asyncio.Task[None] | None = None

    async def keep(
        self, transaction: Transaction, content: Content, prefix: bytes, judgements: Mapping[str, Judgement], reply: Reply
    ) -> None:
        """Never raises for trouble with the store."""
        if self.seconds is None:
            return
        told = f"X-Refused: yes, the sender was told: {reply}\r\n".replace("\r\n ", " ").encode("ascii", "replace")
        for address, judgement in judgements.items():
            record = await self._directory.account(address)
            if record is None:
                continue
            head = return_path(transaction.sender) + prefix + told + evidence(judgement)
            message = NewMessage(content, head, keywords=frozenset({KEYWORD}), unique=f"{transaction.id}.r")
            try:
                if await self._put(await self._account(record), message):
                    self._trace.record(transaction.id, "kept", account=address, mailbox=REJECTS)
            except StoreProblem as problem:
                log.warning("rejects.not_kept", id=transaction.id, account=address, problem=problem.detail)

    async def _account(self, record: AccountRecord) -> Account:
        return await self._mailboxes.account(self._directory.folder(record))

    async def _put(self, account: Account, message: NewMessage) -> bool:
        try:
            account.look(REJECTS)
        except NoSuchMailbox:
            await account.create(REJECTS)
        (brief,) = (await account.brief([REJECTS])).values()
        if brief.messages >= MOST:
            return False
        await account.append(REJECTS, message)
        return True

    # What is over ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._sweep_for_ever())

    async def stop(self) -> None:
        await ended(self._task)

    async def _sweep_for_ever(self) -> None:
        await asyncio.sleep(FIRST_SWEEP_SECONDS)
        while True:
            try:
                await self.sweep()
            except Exception:
                log.exception("rejects.sweep_failed")
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        """Remove what has been in Rejects for long enough, in all accounts."""
        for row in await self._directory.accounts():
            record = await self._directory.account(row["address"])
            if record is None:
                continue
            if (self._directory.folder(record).path / "Maildir" / to_folder(REJECTS)).exists():
                with contextlib.suppress(StoreProblem):
                    await self._sweep(await self._account(record))

    async def _sweep(self, account: Account) -> None:
        oldest = self._clock() - (self.seconds or 0.0)
        mailbox = await account.open(REJECTS)
        try:
            found = list(zip(mailbox.uids, mailbox.dates, mailbox.flags, strict=True))
            # What people put there themselves stays.
            over = [uid for uid, date, flags in found if date < oldest and KEYWORD in mailbox.keyword_names(flags)]
            if over:
                await mailbox.expunge(over, force=True, keep=False)
        finally:
            mailbox.release()
