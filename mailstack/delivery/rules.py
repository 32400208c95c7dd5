"""An account's own rules: its active script is run over a message, and what it decided becomes a plan.

A script that can't be read, compiled or carried out never costs a message: it goes where it would have gone without one.
"""

import datetime
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from mailstack import __version__
from mailstack.delivery.asking import ANSWERED, Answerer, Recalls
from mailstack.delivery.carrying import Carrier
from mailstack.delivery.plan import Arrival, Memory, Plan
from mailstack.log import get_logger
from mailstack.policy.judgement import Judgement
from mailstack.policy.routing import Local
from mailstack.policy.sending import Sending
from mailstack.policy.verdict import Accept
from mailstack.sieve.actions import Keep, Outcome, SieveError
from mailstack.sieve.environment import Environment
from mailstack.sieve.message import Message
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.questions import Asks, Question
from mailstack.sieve.run import run
from mailstack.sieve.words import in_words
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.sieve.memory import SieveMemories
from mailstack.store.sieve.scripts import Active, Scripts
from mailstack.store.trace import Trace
from mailstack.store.users.directory import Directory

log = get_logger()
# Scripts that look at the judgement themselves are asked about junk, too; others are spared it, and answer none of it.
OF_EVENTS = ("imap.user", "imap.email", "imap.cause", "imap.mailbox", "imap.changedflags")  # empty at delivery (RFC 6785 4)
NO_VIRUS = 1  # RFC 5235 2.3; what has one is refused at the door
JUDGES = frozenset({"spamtest", "spamtestplus", "virustest"})


class Rules:
    """One for the server."""

    def __init__(
        self,
        directory: Directory,
        scripts: Scripts,
        memories: SieveMemories,
        trace: Trace,
        hostname: str,
        clock: Callable[[], float],
        sending: Sending | None = None,
    ) -> None:
        """`sending`: by which what is sent on is counted."""
        self._directory = directory
        self._sending = sending
        self.scripts = scripts
        self._memories = memories
        self._trace = trace
        self._hostname = hostname
        self._clock = clock

    async def active(self, folder: str) -> Active | None:
        """The script of the account with this folder; None where there is none, or none can be read."""
        try:
            return await self.scripts.active(folder)
        except StoreProblem as problem:
            log.error("sieve.unreadable", folder=folder, problem=problem.detail)
            return None

    def wanted(self, active: Active, judgement: Judgement | None) -> bool:
        """Whether the script is asked about such a message."""
        if judgement is None or not judgement.junk:
            return True
        return active.script is not None and bool(active.script.required & JUDGES)

    async def plan(self, active: Active, account: Account, route: Local, arrival: Arrival, default: Plan) -> Plan:
        """What the script makes of a message. `default`: what becomes of it otherwise. Raises StoreProblem."""
        outcome = await self.outcome(active, account, route, arrival)
        carrier = Carrier(account, route, arrival, default, self._hostname, self._clock())
        if outcome.problem is not None:
            return await self.failed(active, outcome.problem, carrier, route, arrival, default)
        self.tell(active, outcome, route, arrival.id)
        plan = await self._within_limits(await carrier.plan(outcome), active, route, arrival, default)
        for one in plan.memories:
            if one.words[0] == ANSWERED:
                self._memories.claim(route.account.address, one.words)
        return plan

    async def _within_limits(self, plan: Plan, active: Active, route: Local, arrival: Arrival, default: Plan) -> Plan:
        """What is sent on counts as sent by the account; over its limits, the message stays here."""
        to = [one.address for one in plan.redirects]
        away = [address for address in to if not await self._directory.is_local_domain(address.domain)]
        if not away or self._sending is None:
            return plan
        verdict = await self._sending.send_on(route.account.address, away)
        if isinstance(verdict, Accept):
            return plan
        log.warning(
            "sieve.not_sent_on", id=arrival.id, account=route.account.address, to=[*map(str, away)], reason=verdict.reason
        )
        self._trace.record(
            arrival.id, "rule", account=route.account.address, script=active.name, line=0,
            action=f"not sent on to {', '.join(map(str, away))}: {verdict.reply.text}", mailbox=None,
        )  # fmt: skip
        left = tuple(one for one in plan.redirects if one.address not in away)
        return replace(plan, redirects=left, keeps=plan.keeps or default.keeps)

    async def outcome(
        self,
        active: Active,
        account: Account,
        route: Local,
        arrival: Arrival,
        *,
        recalls: Recalls | None = None,
        now: float | None = None,
    ) -> Outcome:
        """What the script decides; nothing is done. `recalls` and `now`: in place of what is known. Raises StoreProblem."""
        if active.script is None:
            assert active.problem is not None
            return Outcome((Keep(0),), (), SieveError(active.problem.line, active.problem.reason))
        environment = await self._environment(active, route, arrival, self._clock() if now is None else now)
        answerer = Answerer(route.account, account, self.scripts, recalls or self._memories)
        data = await self.scripts.hop(_whole, arrival)
        running = run(active.script, Message(data), environment, self.scripts.language)
        step: Callable[[], Question | Outcome] = partial(_advance, running, None, None)
        while True:
            found = await self.scripts.hop(step)
            if isinstance(found, Outcome):
                return found
            try:
                step = partial(_advance, running, await answerer.answer(found), None)
            except SieveProblem as problem:
                step = partial(_advance, running, None, problem)

    async def _environment(self, active: Active, route: Local, arrival: Arrival, now: float) -> Environment:
        own = {route.account.address, arrival.recipient.address.key}
        if active.script is not None and active.script.required & {"vacation", "vacation-seconds", "enotify", "replace"}:
            own |= set(await self._directory.aliases_of(route.account.address))
        moment = datetime.datetime.fromtimestamp(now, datetime.UTC).astimezone()
        items = {"name": "mailstack", "host": self._hostname, "location": "MDA", "phase": "during"}
        items |= dict.fromkeys(OF_EVENTS, "")
        items |= {"domain": route.account.domain, "version": __version__}
        if arrival.peer:
            items["remote-ip"] = arrival.peer
        if arrival.peer_name:
            items["remote-host"] = arrival.peer_name
        happening = arrival.happening
        if happening is not None:
            items |= {"location": "MS", "phase": "post", **happening.items}  # RFC 6785 4.1
        judgement = arrival.judgement
        return Environment(
            arrival.sender, arrival.recipient.address, moment, frozenset(own), "+", items,
            _percent(judgement), NO_VIRUS if judgement is not None and judgement.looked_through else None,
            happening is not None, happening.flags if happening is not None else None,
        )  # fmt: skip

    async def remember(self, account: str, memories: tuple[Memory, ...]) -> None:
        """Never raises for trouble with the disk: the message is delivered."""
        try:
            await self._memories.remember(account, [(one.words, one.seconds) for one in memories])
        except StoreProblem as problem:
            log.error("sieve.not_remembered", account=account, problem=problem.detail)

    async def failed(
        self, active: Active, error: SieveError, carrier: Carrier, route: Local, arrival: Arrival, default: Plan
    ) -> Plan:
        """The message goes where it would have gone without the script, and the owner is told, once a day."""
        address = route.account.address
        log.warning(
            "sieve.failed", id=arrival.id, account=address, script=error.script or active.name, line=error.line,
            problem=error.reason,
        )  # fmt: skip
        self._trace.record(
            arrival.id, "rule", account=address, script=error.script or active.name, line=error.line,
            action=f"failed: {error.reason}", mailbox=None,
        )  # fmt: skip
        try:
            told = await self._memories.age(address, Carrier.TOLD) is not None
        except StoreProblem:
            told = True
        if told:
            return default
        self._memories.claim(address, Carrier.TOLD)
        return carrier.trouble(active.name, error)

    def tell(self, active: Active, outcome: Outcome, route: Local, id: str) -> None:
        """On the trace of the message with this id."""
        for line, words, mailbox in described(outcome):
            if line:
                self._trace.record(
                    id, "rule", account=route.account.address, script=active.name, line=line, action=words,
                    mailbox=mailbox,
                )  # fmt: skip


def described(outcome: Outcome) -> list[tuple[int, str, str | None]]:
    """The actions in plain words: the script's line (0: nothing said so), what, and the mailbox that it names."""
    return [(action.line, in_words(action), getattr(action, "mailbox", None)) for action in outcome.actions]


def _advance(running: Asks[Outcome], answer: object, problem: SieveProblem | None) -> Question | Outcome:
    """In a thread: on to the next question, or to the end."""
    try:
        return running.throw(problem) if problem is not None else running.send(answer)
    except StopIteration as done:
        outcome: Outcome = done.value
        return outcome


def _whole(arrival: Arrival) -> bytes:
    return arrival.prefix + arrival.content.bytes()


def _percent(judgement: Judgement | None) -> float | None:
    """How sure it is spam: 50 is where Junk begins."""
    if judgement is None or judgement.required <= 0:
        return None
    return min(100.0, max(0.0, 50.0 * judgement.score / judgement.required))
