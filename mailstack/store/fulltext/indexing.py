"""The indexes are filled in the background, by a niced helper: some seconds after a change, one mailbox after another."""

from __future__ import annotations

import asyncio
import contextlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.log import get_logger
from mailstack.store.fulltext.process import HelperDied, HelperGone, HelperProcess
from mailstack.store.fulltext.questions import Add, Answer, Attachments, Compare, Drop, Remove

if TYPE_CHECKING:
    from mailstack.store.mailbox.mailbox import Mailbox

log = get_logger()
MESSAGES_AT_ONCE = 32
OCTETS_AT_ONCE = 4 << 20
PIECES_A_TURN = 64  # then other mailboxes have theirs
MAILBOXES_WAITING = 256  # more are found when they are opened again
NICENESS = 19
IDLE = 20.0  # seconds after which the helper ends


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """`delay` in seconds: what comes within it is taken in together."""

    delay: float = 2.0
    attachments: Attachments | None = None


class Indexer:
    """One for all accounts; a task and a process only while there is something to do."""

    def __init__(self, settings: IndexSettings) -> None:
        self.settings = settings
        self._helper = HelperProcess(NICENESS, IDLE)
        self._waiting: OrderedDict[int, Mailbox] = OrderedDict()
        self._worker: asyncio.Task[None] | None = None
        self._refused: set[tuple[str, int]] = set()  # messages that ended a helper
        self._added = 0  # grows as messages are taken in
        self._closed = False

    def changed(self, mailbox: Mailbox) -> None:
        """Messages came or went, or it is opened for the first time."""
        if self._closed:
            return
        mailbox.text_pending = True
        self._waiting[id(mailbox)] = mailbox
        if len(self._waiting) > MAILBOXES_WAITING:
            _, other = self._waiting.popitem(last=False)
            other.text_pending = other.text_checked = False
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())

    async def drop(self, database: str) -> None:
        """Remove an account's index. Its mailboxes must be named as changed, or be opened, to be taken in again."""
        with contextlib.suppress(HelperGone):
            await self._ask(Drop(database))

    async def settled(self) -> None:
        """Wait until nothing is to be done."""
        while self._worker is not None and not self._worker.done():
            await asyncio.wait([self._worker])

    async def close(self) -> None:
        self._closed = True
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])
        await self._helper.close()

    async def _work(self) -> None:
        unfinished = False
        while self._waiting:
            if not unfinished:
                await asyncio.sleep(self.settings.delay)
            unfinished = False
            for key in list(self._waiting):
                mailbox = self._waiting.pop(key, None)
                if mailbox is not None:
                    mailbox.text_pending = False
                    if await self._turn_of(mailbox):
                        unfinished = True
                        self.changed(mailbox)

    async def _turn_of(self, mailbox: Mailbox) -> bool:
        """Whether it needs another turn, after those of others."""
        try:
            return await self._update(mailbox)
        except HelperGone as problem:
            log.warning("fulltext.helper_gone", problem=str(problem))
        except Exception:
            log.exception("fulltext.update_failed", mailbox=mailbox.name)
        mailbox.text_checked = False  # it is looked at again when it is opened or changes
        return False

    async def _update(self, mailbox: Mailbox) -> bool:
        """Make the index say what the mailbox has, some thousand messages at a time; whether there are more."""
        place = mailbox.text_place
        if mailbox.deleted:
            await self._ask(Remove(place.database, place.mailbox, None))
            return False
        if mailbox.state is None:
            return False
        answer = await self._ask(mailbox.comparison)
        missing, gone = array("I", answer.found), array("I", answer.unknown)
        for first in range(0, len(gone), MESSAGES_AT_ONCE):
            some = gone[first : first + MESSAGES_AT_ONCE]
            if (await self._ask(Remove(place.database, place.mailbox, some.tobytes()))).problem:
                return False
        mailbox.text_others = frozenset()
        before = self._added
        for number, piece in enumerate(_newest_first(mailbox, missing)):
            # Files that can't be read are missing each time: they alone are no reason for another turn.
            if number >= PIECES_A_TURN and self._added > before:
                return True
            if mailbox.deleted or not await self._add(mailbox, piece):
                break
        return False

    async def _add(self, mailbox: Mailbox, uids: list[int]) -> bool:
        """Whether it makes sense to go on."""
        place = mailbox.text_place
        messages = [one for one in mailbox.incoming(uids) if (place.mailbox, one.file.uid) not in self._refused]
        if not messages:
            return True
        question = Add(place.database, place.mailbox, place.root, messages, self.settings.attachments)
        try:
            answer = await self._ask(question)
            self._added += len(answer.found)
            return not answer.problem
        except HelperDied:
            if len(messages) > 1:
                for one in messages:
                    await self._add(mailbox, [one.file.uid])
                return True
            # It stays out of the index: a search looks into the message itself.
            self._refused.add((place.mailbox, messages[0].file.uid))
            log.error("fulltext.message_refused", file=str(messages[0].file.path))
            return True

    async def _ask(self, question: Add | Remove | Compare | Drop) -> Answer:
        answer = await self._helper.ask(question)
        if answer.problem:
            log.warning("fulltext.failed", database=question.database, problem=answer.problem)
        return answer


def _newest_first(mailbox: Mailbox, uids: array[int]) -> Iterator[list[int]]:
    """Pieces of work, those first that are most likely to be looked for."""
    some: list[int] = []
    octets = 0
    for uid in reversed(uids):
        place = mailbox.position(uid)
        if place is None:
            continue
        some.append(uid)
        octets += mailbox.sizes[place]
        if len(some) >= MESSAGES_AT_ONCE or octets >= OCTETS_AT_ONCE:
            yield some[::-1]
            some, octets = [], 0
    if some:
        yield some[::-1]
