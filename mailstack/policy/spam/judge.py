"""Puts the facts together, asks all that know something, and decides: taken, put off, or refused.

Rule: a judge that fails judges nothing. What can't be found out is left out, and the message goes on.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mailstack.log import get_logger
from mailstack.mailauth.results import Authentication
from mailstack.message.tokens import MESSAGE_LIMIT
from mailstack.policy.judgement import Finding, Judgement
from mailstack.policy.routing import Local
from mailstack.policy.spam import reputation
from mailstack.policy.spam.facts import Facts
from mailstack.policy.spam.greylisting import Greylisting
from mailstack.policy.spam.lists import Lists
from mailstack.policy.spam.outside import Opinion, OutsideJudge
from mailstack.policy.spam.rules import look
from mailstack.policy.spam.senders import Senders
from mailstack.policy.spam.settings import SpamSettings
from mailstack.policy.spam.weighing import NOTHING, Known, Words, add_up, ask, weigh
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept, Defer, Reject, Verdict
from mailstack.store.content import Content
from mailstack.store.learned.door import LearnedDoor
from mailstack.wire.smtp import Reply

T = TypeVar("T")
log = get_logger()
HEADER_LOOKED_AT = 1 << 18  # octets
ACCOUNTS_AT_ONCE = 50
MORE = 2.0  # seconds
OPEN_TO_ALL = frozenset({"postmaster", "abuse"})  # RFC 5321 4.5.1: who is wronged must reach them


@dataclass(frozen=True, slots=True)
class Parts:
    """What the judge asks; each may be put in another's place by a test."""

    door: LearnedDoor
    senders: Senders
    lists: Lists
    greylisting: Greylisting
    folder: Callable[[Local], Path]  # where an account's files are
    here: Callable[[str], bool]  # whether nothing can be said by a peer's address
    clock: Callable[[], float]


class Judge:
    """One for the server."""

    def __init__(self, hostname: str, settings: SpamSettings, parts: Parts, outside: tuple[OutsideJudge, ...] = ()) -> None:
        self.settings = settings
        self.outside = outside
        self._hostname = hostname
        self._with = parts

    async def judge(self, transaction: Transaction, content: Content, authentication: Authentication | None = None) -> Verdict:
        """Accept with a judgement for each account here, or what the sender is told."""
        if not self.settings.on:
            return Accept()
        try:
            return await self._judge(transaction, content, authentication)
        except Exception:
            log.exception("spam.judge_failed", id=transaction.id)
            failed = add_up([Finding("judge-failed", 0.0, "it could not be judged")], self.settings)
            return Accept(judgements=dict.fromkeys(_places(transaction), failed))

    async def _judge(self, transaction: Transaction, content: Content, authentication: Authentication | None) -> Verdict:
        facts = self._facts(transaction, content, authentication)
        folders = {address: self._with.folder(route) for address, route in _places(transaction).items()}
        names = facts.names
        writer = reputation.correspondent(facts)
        wanted = list(dict.fromkeys([*names, writer] if writer is not None else names))
        asked = self._known(content, list(folders.values()), wanted)
        if self.outside or (self.settings.by_address and not facts.here):
            (known, links), listed, opinions = await asyncio.gather(
                asked,
                self._bounded(self._by_address(facts), []),
                # They have the time by themselves; this is for the worst.
                asyncio.gather(*(self._bounded(one.ask(transaction, content), Opinion(), MORE) for one in self.outside)),
            )
        else:
            known, links = await asked
            listed, opinions = [], []
        verdict = next((one.verdict for one in opinions if one.verdict is not None), None)
        if verdict is not None:
            return verdict
        shared = [*look(facts, self.settings.weights), *listed]
        if self.settings.by_domain:
            shared += await self._bounded(self._by_domain(facts, links), [])
        shared += [finding for one in opinions for finding in one.findings]
        judgements: dict[str, Judgement] = {}
        strangers = True
        for (address, folder), one in zip(folders.items(), known, strict=True):
            records = self._with.senders.records(folder, one.rows, wanted)
            strangers = strangers and reputation.is_new(facts, records) and not reputation.is_correspondent(facts, records)
            judgements[address] = weigh(facts, shared, one.counts, records, self.settings)
        verdict = await self._unwanted(transaction, facts, judgements, add_up(shared, self.settings), strangers)
        if verdict is not None:
            return verdict
        for address, judgement in judgements.items():
            came = {"junk" if judgement.junk else "good": reputation.CAME}
            self._with.senders.count(folders[address], names, **came)
        return Accept(judgements=judgements)

    # What is asked --------------------------------------------------------------------------------------------------

    def _facts(self, transaction: Transaction, content: Content, authentication: Authentication | None) -> Facts:
        header = content.header(HEADER_LOOKED_AT)
        return Facts(
            hostname=self._hostname,
            peer=transaction.peer,
            helo=transaction.helo,
            sender=transaction.sender,
            header=header,
            now=self._with.clock(),
            here=self._with.here(transaction.peer),
            authentication=authentication,
        )

    async def _by_address(self, facts: Facts) -> list[Finding]:
        return [] if facts.here else await self._with.lists.ask(facts.peer_address, self.settings.by_address, (), ())

    async def _by_domain(self, facts: Facts, links: Sequence[str]) -> list[Finding]:
        own = [one.domain for one in (facts.sender, facts.author) if one is not None]
        return await self._with.lists.ask("", (), [*own, *links], self.settings.by_domain)

    async def _known(self, content: Content, folders: list[Path], names: list[str]) -> tuple[list[Known], list[str]]:
        """What the accounts know of its words and its sender; its links, where lists are asked of them."""
        words, found, links = Words(content.head(MESSAGE_LIMIT)), list[Known | None](), list[str]()
        for start in range(0, max(len(folders), 1), ACCOUNTS_AT_ONCE):
            some = folders[start : start + ACCOUNTS_AT_ONCE]
            if some or self.settings.by_domain:
                known, links = await self._with.door.hop(self._look, words, some, names)
                found += known
        return [one if one is not None else NOTHING for one in found], links

    def _look(self, words: Words, folders: list[Path], names: list[str]) -> tuple[list[Known | None], list[str]]:
        """In the thread."""
        found = self._with.door.look(folders, partial(ask, words=words, names=names))
        return found, words.links if self.settings.by_domain else []

    async def _bounded(self, question: Coroutine[Any, Any, T], otherwise: T, more: float = 0.0) -> T:
        """What others are asked has its time."""
        try:
            async with asyncio.timeout(self.settings.seconds + more):
                return await question
        except TimeoutError:
            log.warning("spam.too_slow", seconds=self.settings.seconds)
        except Exception:
            log.exception("spam.question_failed")
        return otherwise

    # What is decided ------------------------------------------------------------------------------------------------

    async def _unwanted(
        self,
        transaction: Transaction,
        facts: Facts,
        judgements: Mapping[str, Judgement],
        shared: Judgement,
        strangers: bool,
    ) -> Reject | Defer | None:
        """Refused or put off where that holds for all recipients; where they differ, each gets it as it is for him."""
        recipients = [recipient.address for recipient, _ in transaction.recipients]
        if any(one.local.lower() in OPEN_TO_ALL for one in recipients):
            return None
        elsewhere = any(not isinstance(route, Local) for _, routes in transaction.recipients for route in routes)
        scores = [one.score for one in judgements.values()] + ([shared.score] if elsewhere or not judgements else [])
        settings = self.settings
        if settings.refuse is not None and min(scores) >= settings.refuse:
            words = f"This looks like unwanted mail ({transaction.id}). If it is not, ask postmaster@{recipients[0].domain}"
            return Reject(Reply(550, "5.7.1", words), "unwanted", judgements, kept=True)
        if settings.greylist is None or facts.here or facts.network is None or not strangers or min(scores) < settings.doubt:
            return None
        wait = await self._with.greylisting.ask(facts.network, facts.sender, recipients, settings.greylist)
        return None if wait is None else Defer(wait.reply, wait.reason, judgements)


def _places(transaction: Transaction) -> dict[str, Local]:
    """By address, the accounts here that get it."""
    routes = [route for _, routes in transaction.recipients for route in routes if isinstance(route, Local)]
    return {route.account.address: route for route in routes}
