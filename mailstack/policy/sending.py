"""How much accounts and domains may send, and the end of it: an account that shows signs of another hand is stopped.

Rule: what counts is taken and judged in one step on the event loop, so that a hundred connections share one limit.
"""

import asyncio
import functools
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from mailstack.log import get_logger
from mailstack.message.address import Address
from mailstack.policy.acquaintances import Acquaintances
from mailstack.policy.networks import SINGLE_BITS, network_of
from mailstack.policy.routing import Remote, Route
from mailstack.policy.signs import Sign, Signs, SignSettings
from mailstack.policy.tally import DAY, HOUR, add, slot_of, total, until_less
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import YES, Accept, Verdict, defer, reject
from mailstack.store.errors import StoreProblem
from mailstack.store.users.sending import Allowance, Page, SendingBook, Stop

log = get_logger()
PAGES = 10_000  # accounts and domains in memory
WIDE_BITS = {4: 16, 6: 32}  # a network of the size that providers have


@dataclass(frozen=True, slots=True)
class SendingRules:
    account: Allowance = field(default_factory=lambda: Allowance(200, 1000, 200, 100))
    domain: Allowance = field(default_factory=lambda: Allowance(1000, 5000, 1000, 0))
    signs: SignSettings = field(default_factory=SignSettings)


Told = Callable[[Stop], Awaitable[None]]


class Sending:
    """One for the server. `on_stopped` is awaited after an account was stopped, durably."""

    def __init__(self, book: SendingBook, clock: Callable[[], float] = time.time) -> None:
        self._book = book
        self._clock = clock
        self.settings = SendingRules()
        self.signs = Signs()
        self.on_stopped: Told | None = None
        self._pages: OrderedDict[str, Page] = OrderedDict()
        self._loading = asyncio.Lock()
        self._acquaintances = Acquaintances(book)
        self._tasks: set[asyncio.Task[None]] = set()

    def use(self, settings: SendingRules) -> None:
        self.settings = settings
        self.signs.settings = settings.signs

    # Asking, while a message comes in -------------------------------------------------------------------------------

    async def begin(self, transaction: Transaction) -> Verdict:
        """At MAIL: whether the account may send now."""
        account = _account(transaction)
        own, domain = await self._pages_of(account)
        return self._judge(transaction, own, domain, 0)

    async def recipient(self, transaction: Transaction, address: Address, routes: tuple[Route, ...]) -> Verdict:
        """At RCPT, of one that is taken otherwise: whether it is one too many. New ones are kept on the transaction."""
        account = _account(transaction)
        own, domain = await self._pages_of(account)
        most = self._allowance(own).recipients
        if most and len(transaction.recipients) >= most:
            return defer(452, "4.5.3", f"{account} may send a message to {most} recipients", "sending-recipients")
        if not any(isinstance(route, Remote) for route in routes) or address.key in transaction.fresh:
            return YES
        if not await self._acquaintances.is_new(account, address.key):
            return YES
        verdict = self._judge(transaction, own, domain, len(transaction.fresh) + 1)
        if isinstance(verdict, Accept):
            transaction.fresh.add(address.key)
        return verdict

    async def take(self, transaction: Transaction) -> Verdict:
        """At the final dot: judged once more, and counted."""
        account, now = _account(transaction), self._clock()
        own, domain = await self._pages_of(account)
        # From here on nothing waits: what is judged is what is counted.
        fresh = {key for key in transaction.fresh if not self._acquaintances.has(account, key)}
        verdict = self._judge(transaction, own, domain, len(fresh))
        if not isinstance(verdict, Accept):
            return verdict
        sign = self.signs.sending(account, now, len(fresh), _network(transaction.peer))
        if sign is not None:
            stop = self._stop(own, *sign)
            return self._stopped(stop)
        self._count(own, domain, fresh, self._weight(own, transaction))
        return YES

    def _weight(self, own: Page, transaction: Transaction) -> int:
        """As how many messages it counts: as many as would reach everybody elsewhere without an alias or a list.

        Whatever it weighs, it goes if the account may send one more message: a list is there to be written to.
        """
        most = self._allowance(own).recipients
        return max(1, -(-sum(transaction.outside.values()) // most)) if most else 1

    async def send_on(self, account: str, recipients: Iterable[Address]) -> Verdict:
        """Of a message that an account's rules send to others: it counts as sent by the account.

        It is no sign of another hand: who writes to an account makes its rules send, as often as he likes.
        """
        own, domain = await self._pages_of(account)
        keys = [one.key for one in recipients]
        new = {key for key in keys if await self._acquaintances.is_new(account, key)}
        if own.stop is not None:
            return self._stopped(own.stop)
        for page in (own, domain):
            found = self._over(page, len(new))
            if found is not None:
                return found
        self._count(own, domain, new)
        return YES

    def _count(self, own: Page, domain: Page, fresh: set[str], messages: int = 1) -> None:
        """What was sent, and to so many who were never written to."""
        slot = slot_of(self._clock())
        for page in (own, domain):
            add(page.messages, slot, messages)
            if fresh:
                add(page.fresh, slot, len(fresh))
            self._book.count(page, slot)
        if fresh:
            self._acquaintances.add(own.subject, fresh)

    def _judge(self, transaction: Transaction, own: Page, domain: Page, fresh: int) -> Verdict:
        if own.stop is not None:
            return self._stopped(own.stop)
        for page in (own, domain):
            found = self._over(page, fresh)
            if found is not None:
                self._overran(transaction, own)
                return found
        return YES

    def _over(self, page: Page, fresh: int) -> Verdict | None:
        """Whether one more message, to so many new recipients, is one too many."""
        most, name, now = self._allowance(page), page.subject.removeprefix("@"), self._clock()
        slot = slot_of(now)
        if most.hour and total(page.messages, slot, HOUR) >= most.hour:
            text = f"{name} may send {most.hour} messages an hour; try again in {_until(page, now, HOUR)}"
            return defer(450, "4.7.1", text, "sending-hour")
        if most.day and total(page.messages, slot, DAY) >= most.day:
            text = f"{name} may send {most.day} messages a day; try again in {_until(page, now, DAY)}"
            return reject(550, "5.7.1", text, "sending-day")
        if fresh and most.fresh and total(page.fresh, slot, DAY) + fresh > most.fresh:
            text = f"{name} may write to {most.fresh} new recipients a day; try again tomorrow, or ask the postmaster"
            return reject(550, "5.7.1", text, "sending-new-recipients")
        return None

    def _overran(self, transaction: Transaction, own: Page) -> None:
        if not transaction.overran:
            transaction.overran = True
            sign = self.signs.overran(own.subject, self._clock())
            if sign is not None:
                self._stop(own, *sign)

    def _stopped(self, stop: Stop) -> Verdict:
        text = f"Sending is stopped for {stop.account}: {stop.text}. The postmaster can let it go on"
        return reject(550, "5.7.1", text, "sending-stopped")

    # What other hosts say -------------------------------------------------------------------------------------------

    def outcome(self, account: str, recipient: str, *, refused: bool) -> None:
        """A message of the account left, or was refused for good by another host.

        Where aliases, lists and rules of others sent it on, that is not the account's doing.
        """
        if not self._acquaintances.has(account, recipient):
            return
        sign = self.signs.outcome(account, self._clock(), refused=refused)
        if sign is not None:
            self._later(self.stop(account, *sign))

    # Stopping and letting go ----------------------------------------------------------------------------------------

    async def stop(self, account: str, sign: Sign, text: str) -> Stop | None:
        """Durable when it returns; None when it was stopped before."""
        own, _ = await self._pages_of(account)
        if own.stop is not None:
            return None
        stop = own.stop = Stop(account, self._clock(), sign.value, text)
        await self._finish(stop)
        return stop

    def _stop(self, own: Page, sign: Sign, text: str) -> Stop:
        """At once in memory; on disk, and told, in the next moment."""
        own.stop = Stop(own.subject, self._clock(), sign.value, text)
        self._later(self._finish(own.stop))
        return own.stop

    async def _finish(self, stop: Stop) -> None:
        self.signs.forget(stop.account)
        log.warning("account.stopped", account=stop.account, sign=stop.sign, text=stop.text)
        try:
            await self._book.stop(stop)
        except StoreProblem as problem:
            log.error("account.stop_failed", account=stop.account, problem=problem.detail)
        if self.on_stopped is not None:
            await self.on_stopped(stop)

    async def release(self, account: str) -> bool:
        """Let an account send again; False when it was not stopped."""
        own, _ = await self._pages_of(account)
        was = await self._book.release(account)
        own.stop = None
        self.signs.forget(account)
        if was:
            log.info("account.released", account=account)
        return was

    def _later(self, work: Awaitable[object]) -> None:
        async def do() -> None:
            try:
                await work
            except Exception:
                log.exception("account.stop_failed")

        task = asyncio.get_running_loop().create_task(do())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """What was stopped is on disk and told."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    # Exceptions, and what is shown ----------------------------------------------------------------------------------

    async def except_(self, subject: str, exception: Allowance) -> None:
        """An exception for an account, or for "@domain"."""
        await self._book.except_(subject, exception)
        (await self._page(subject)).exception = exception

    async def state(self, subject: str) -> tuple[Page, Allowance, tuple[int, int, int]]:
        """A subject's page, what it may, and what it sent: messages of an hour and of a day, new recipients of a day."""
        page = await self._page(subject)
        slot = slot_of(self._clock())
        used = total(page.messages, slot, HOUR), total(page.messages, slot, DAY), total(page.fresh, slot, DAY)
        return page, self._allowance(page), used

    def is_stopped(self, account: str) -> bool:
        """Of an account that sent something since the start."""
        page = self._pages.get(account)
        return page is not None and page.stop is not None

    async def stops(self) -> list[Stop]:
        return await self._book.stops()

    async def forget(self, account: str) -> None:
        """The account is removed: one that gets its address later begins anew."""
        await self.settled()
        await self._book.forget(account)
        self.renamed(account)

    def renamed(self, account: str) -> None:
        """What is kept is under another address now."""
        self._pages.pop(account, None)
        self.signs.forget(account)
        self._acquaintances.forget(account)

    def _allowance(self, page: Page) -> Allowance:
        return page.exception.over(self.settings.domain if page.subject.startswith("@") else self.settings.account)

    # Keeping --------------------------------------------------------------------------------------------------------

    async def _pages_of(self, account: str) -> tuple[Page, Page]:
        return await self._page(account), await self._page("@" + account.rpartition("@")[2])

    async def _page(self, subject: str) -> Page:
        page = self._pages.get(subject)
        if page is not None:
            self._pages.move_to_end(subject)
            return page
        async with self._loading:  # one page a subject: two would count apart
            page = self._pages.get(subject)
            if page is None:
                page = await self._book.load(subject, slot_of(self._clock()) - DAY)
                while len(self._pages) >= PAGES:
                    self._pages.popitem(last=False)
                self._pages[subject] = page
        return page


def _account(transaction: Transaction) -> str:
    assert transaction.account is not None
    return transaction.account.address


@functools.lru_cache(1024)
def _network(peer: str) -> str | None:
    """None for addresses that many share, or that say nothing."""
    single = network_of(peer, SINGLE_BITS)
    return str(network_of(peer, WIDE_BITS)) if single is not None and single.is_global else None


def _until(page: Page, now: float, span: int) -> str:
    minutes = max(1, round(until_less(page.messages, now, span) / 60))
    return f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"
