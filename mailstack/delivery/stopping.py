"""An account is stopped: what it has in the queue is kept back, and its owner and the postmaster are told."""

import asyncio
import random
import textwrap
from collections.abc import Awaitable, Callable

from mailstack.delivery.outcome import Delivered, Failed, Outcome
from mailstack.log import get_logger
from mailstack.message.address import Address, parse_address
from mailstack.message.envelope import Envelope, Recipient, new_id
from mailstack.message.errors import SyntaxProblem
from mailstack.message.notice import notice
from mailstack.message.trace import return_path
from mailstack.policy.sending import Sending
from mailstack.policy.signs import Sign
from mailstack.store.content import Content
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import NewMessage
from mailstack.store.queue.queue import Queue, Queued
from mailstack.store.trace import Trace
from mailstack.store.users.directory import Directory
from mailstack.store.users.sending import Stop

log = get_logger()
SUBJECT = "Sending from your account is stopped"
OWNER = """This is the mail server at {host}.

Your account {account} may send no mail for now: {text}.

Somebody else may know your password. Please set a new one, look through your devices and your filters for what is \
not yours, and tell the postmaster, who can let your account send again.

You can read and receive mail as before. {held} of your account wait and were not sent."""
POSTMASTER = """This is the mail server at {host}.

The account {account} is stopped: {text}. {held} of it wait in the queue. Its owner was told.

    mailstack user show {account}
    mailstack user passwd {account}
    mailstack user release {account}          sends what waits
    mailstack user release {account} --drop   throws it away

Reading and receiving go on."""


class Keeper:
    """Keeps back what stopped accounts have in the queue; works without a server, too."""

    def __init__(self, queue: Queue, trace: Trace) -> None:
        self._queue = queue
        self._trace = trace

    async def hold(self, account: str, reason: str) -> int:
        """How many messages of the account wait now."""
        held = 0
        for queued in [one for one in self._queue.messages.values() if one.envelope.account == account]:
            if not queued.held:
                queued.held = queued.stopped = True
                self._trace.record(queued.id, "held", account=account, reason=reason)
                await self._queue.save(queued)
            held += 1
        return held

    async def let_go(self, account: str, *, drop: bool) -> list[Queued]:
        """What was kept back because the account was stopped, to be sent now, or thrown away."""
        mine = [one for one in self._queue.messages.values() if one.envelope.account == account and one.stopped]
        for queued in mine:
            queued.held = queued.stopped = False
            queued.next_attempt = 0.0
            if drop and not queued.busy:
                self._trace.record(queued.id, "dropped", account=account)
                await self._queue.finish(queued)
            else:
                self._trace.record(queued.id, "released", account=account)
                await self._queue.save(queued)
        return [] if drop else mine


class Stopper:
    """What follows when an account is stopped. `submit` takes a notice over, durably, or raises StoreProblem."""

    def __init__(
        self,
        keeper: Keeper,
        sending: Sending,
        directory: Directory,
        mailboxes: Mailboxes,
        submit: Callable[[Envelope, Content], Awaitable[None]],
        hostname: str,
        clock: Callable[[], float],
        randomness: random.Random,
    ) -> None:
        self._keeper = keeper
        self._sending = sending
        self._directory = directory
        self._mailboxes = mailboxes
        self._submit = submit
        self._hostname = hostname
        self._clock = clock
        self._random = randomness
        self._tasks: set[asyncio.Task[object]] = set()

    async def start(self) -> None:
        """A crash may have come between the stop and the queue."""
        for stop in await self._sending.stops():
            await self._keeper.hold(stop.account, stop.sign)

    def holds(self, queued: Queued) -> bool:
        """Whether a message that comes into the queue is kept back: it was on its way when its account was stopped."""
        account = queued.envelope.account
        if account is None or not self._sending.is_stopped(account):
            return False
        task = asyncio.get_running_loop().create_task(self._keeper.hold(account, "stopped"))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    def outcome(self, envelope: Envelope, to: Address, outcome: Outcome) -> None:
        """What another host said of a recipient."""
        if envelope.account is None or outcome.host is None:
            return
        if isinstance(outcome, Delivered) or (isinstance(outcome, Failed) and outcome.permanent):
            self._sending.outcome(envelope.account, to.key, refused=isinstance(outcome, Failed))

    async def stopped(self, stop: Stop) -> None:
        """Keep back, and tell. Trouble with one of the notices is no reason to keep the other."""
        held = await self._keeper.hold(stop.account, stop.sign)
        words = {"host": self._hostname, "account": stop.account, "text": stop.text}
        words["held"] = "1 message" if held == 1 else f"{held} messages"
        by_hand = stop.sign == Sign.ADMIN  # the postmaster knows
        for tell in (self._tell_owner,) if by_hand else (self._tell_owner, self._tell_postmaster):
            try:
                await tell(stop, words)
            except StoreProblem as problem:
                log.error("account.notice_failed", account=stop.account, problem=problem.detail)

    async def _tell_owner(self, stop: Stop, words: dict[str, str]) -> None:
        """Into INBOX itself: whoever has the account may have set rules that hide such mail."""
        record = await self._directory.account(stop.account)
        if record is None:
            return
        id, content = self._notice(stop, parse_address(stop.account), SUBJECT, OWNER.format(**words))
        account = await self._mailboxes.account(self._directory.folder(record))
        message = NewMessage(content, return_path(None), unique=f"{id}.0", fresh=True, once=True)
        await account.append("INBOX", message)
        log.info("account.owner_told", account=stop.account, id=id)

    async def _tell_postmaster(self, stop: Stop, words: dict[str, str]) -> None:
        try:
            to = parse_address(f"postmaster@{stop.account.rpartition('@')[2]}")
        except SyntaxProblem:
            return
        subject = f"The account {stop.account} is stopped"
        id, content = self._notice(stop, to, subject, POSTMASTER.format(**words))
        envelope = Envelope(id=id, sender=None, recipients=(Recipient(to),), received=self._clock(), own=True)
        await self._submit(envelope, content)
        log.info("account.postmaster_told", account=stop.account, id=id)

    def _notice(self, stop: Stop, to: Address, subject: str, text: str) -> tuple[str, Content]:
        now = self._clock()
        id = new_id(now, self._random)
        sender = parse_address(f"postmaster@{stop.account.rpartition('@')[2]}")
        filled = "\n".join("\n".join(_fill(line)) for line in text.splitlines())
        return id, Content.of(
            notice(id=id, host=self._hostname, sender=sender, to=to, subject=subject, text=filled, moment=now)
        )


def _fill(line: str) -> list[str]:
    return [line] if line.startswith(" ") or not line else textwrap.wrap(line, 76, break_long_words=False)
