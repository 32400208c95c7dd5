"""What users' scripts do when IMAP puts messages into a mailbox, or changes their flags there (RFC 6785).

Rule: the command is done and durable before; whatever comes of a script changes nothing for it. What a script does is no event.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from mailstack.delivery.consequences import Consequences, EventRun
from mailstack.delivery.plan import Arrival, Happening
from mailstack.delivery.rules import Rules
from mailstack.log import get_logger
from mailstack.message.address import parse_address
from mailstack.message.envelope import Recipient, new_id
from mailstack.message.flag import NAMES
from mailstack.message.header import split_header
from mailstack.policy.inbound import HEADER_LIMIT
from mailstack.policy.judgement import read_evidence
from mailstack.policy.routing import Local
from mailstack.sieve.flagging import read_flags
from mailstack.sieve.problem import SieveProblem
from mailstack.store.content import Content
from mailstack.store.errors import MessageGone, StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.sieve.scripts import Active, acceptable_name
from mailstack.store.users.directory import AccountRecord

log = get_logger()
ENTRY = "/shared/imapsieve/script"
NO_FLAGS: Mapping[int, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to messages of a mailbox."""

    cause: str  # RFC 6785 4.3: APPEND, COPY, FLAG
    account: Account
    owner: AccountRecord  # whose account that is
    mailbox: str
    uids: Sequence[int]
    by: str  # the address of the account that did it
    flags: Mapping[int, tuple[str, ...]] = field(default_factory=lambda: NO_FLAGS)  # those that changed, by UID


class Events:
    """One for the server."""

    def __init__(self, rules: Rules, consequences: Consequences, clock: Callable[[], float], randomness: random.Random) -> None:
        self._rules = rules
        self._consequences = consequences
        self._clock = clock
        self._random = randomness
        self._turn = asyncio.Semaphore(1)  # deliveries need the threads of scripts, too
        self._stopped = False

    def stop(self) -> None:
        """Begin no further run: what the commands under way changed is safe."""
        self._stopped = True

    async def script(self, account: Account, mailbox: str) -> str | None:
        """The name of the script that runs on what happens there; None: none does. Raises StoreProblem."""
        value = await account.annotation(mailbox, ENTRY)
        name = value.decode("utf-8", "replace") if value is not None else ""
        return name if acceptable_name(name) else None

    async def happened(self, event: Event, count: Callable[[int, int], None]) -> None:
        """Run the mailbox's script over each message. Never raises. `count`: is told how many are done, of how many."""
        account = event.account
        account.hold()
        try:
            name = await self.script(account, event.mailbox)
            active = await self._active(event.owner, name) if name is not None else None
            if active is None:
                return
            mailbox = await account.open(event.mailbox)
            try:
                for number, uid in enumerate(event.uids):
                    if self._stopped:
                        log.warning("sieve.events_ended", account=event.owner.address, left=len(event.uids) - number)
                        return
                    count(number, len(event.uids))
                    await self._message(active, event, mailbox, uid)
            finally:
                mailbox.release()
        except StoreProblem as problem:
            log.error("sieve.event_failed", account=event.owner.address, problem=problem.detail or type(problem).__name__)
        except Exception:
            log.exception("sieve.events_broken", account=event.owner.address)
        finally:
            account.let_go()

    async def _active(self, owner: AccountRecord, name: str) -> Active | None:
        """RFC 6785 2.3.1: a script that is not there is not run."""
        try:
            script = await self._rules.scripts.named(owner.folder, name)
        except SieveProblem as problem:
            return Active(name, None, problem)
        if script is None:
            log.info("sieve.no_script", account=owner.address, script=name)
            return None
        return Active(name, script)

    async def _message(self, active: Active, event: Event, mailbox: Mailbox, uid: int) -> None:
        owner = event.owner
        try:
            data = await mailbox.read(uid)
            now = self._flags(mailbox, uid)
            items = {
                "imap.user": event.by,
                "imap.email": event.by,
                "imap.cause": event.cause,
                "imap.mailbox": event.mailbox,
                "imap.changedflags": " ".join(event.flags.get(uid, ())),
            }
            id = new_id(self._clock(), self._random)
            evidence = read_evidence(split_header(data[:HEADER_LIMIT])[0])
            recipient = Recipient(parse_address(owner.address))
            arrival = Arrival(id, None, recipient, Content.of(data), judgement=evidence, happening=Happening(items, now))
            run = EventRun(active, Local(owner), mailbox, uid, arrival)
            async with self._turn:
                outcome = await self._rules.outcome(active, event.account, run.route, arrival)
            await self._consequences.carry_out(run, event.account, outcome)
        except MessageGone:
            pass
        except StoreProblem as problem:
            log.error("sieve.event_failed", account=owner.address, problem=problem.detail or type(problem).__name__)
        except Exception:
            log.exception("sieve.event_broken", account=owner.address, script=active.name)

    def _flags(self, mailbox: Mailbox, uid: int) -> tuple[str, ...]:
        place = mailbox.position(uid)
        if place is None:
            raise MessageGone
        return read_flags(flag_names(mailbox, mailbox.flags[place]))


def flag_names(mailbox: Mailbox, flags: int) -> tuple[str, ...]:
    """Bits in words."""
    return (*(name for bit, name in NAMES.items() if flags & bit), *mailbox.keyword_names(flags))
