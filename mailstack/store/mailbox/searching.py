"""Search in the text of messages: the index is asked first, and what it does not know is looked into. Always exact."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailstack.log import get_logger
from mailstack.store.fulltext.database import put_aside
from mailstack.store.fulltext.indexing import Indexer, IndexSettings
from mailstack.store.fulltext.matching import look
from mailstack.store.fulltext.process import HelperDied, HelperGone, HelperProcess
from mailstack.store.fulltext.questions import AnyCriterion, File, Find, InField, Make, Place, Scan, Sent

if TYPE_CHECKING:
    from mailstack.store.mailbox.mailbox import Mailbox

log = get_logger()
NICENESS = 2  # somebody waits for it, and others for the server
IDLE = 60.0  # seconds after which the helper ends
SCANNED_AT_ONCE = 64
FEW, SMALL = 32, 256 << 10  # messages, and octets of them, that are looked into here at once


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """`index`: whether indexes are kept; None if not."""

    index: IndexSettings | None


class Searching:
    """One for all accounts. Without settings there are no helpers: everything is looked for here, in threads."""

    def __init__(self, settings: SearchSettings | None) -> None:
        self.indexer = Indexer(settings.index) if settings is not None and settings.index is not None else None
        self._helper = HelperProcess(NICENESS, IDLE) if settings is not None else None

    def changed(self, mailbox: Mailbox) -> None:
        """Messages came or went, or the mailbox did."""
        if self.indexer is not None:
            self.indexer.changed(mailbox)

    def opened(self, mailbox: Mailbox) -> None:
        """A mailbox is worked with: the first time, its index may lag behind."""
        if not mailbox.text_checked and self.indexer is not None:
            mailbox.text_checked = True
            if mailbox.uids:
                self.indexer.changed(mailbox)

    async def renew(self, place: Place, mailboxes: Iterable[Mailbox]) -> None:
        """Make an account's index anew, with all its mailboxes; those that are not open follow when they are."""
        if self.indexer is None:
            await asyncio.to_thread(put_aside, place.database)
            return
        await self.indexer.drop(place.database)
        for mailbox in mailboxes:
            mailbox.text_checked = mailbox.state is not None
            if mailbox.state is not None and mailbox.uids:
                self.indexer.changed(mailbox)

    async def find(
        self,
        mailbox: Mailbox,
        criterion: AnyCriterion,
        uids: Sequence[int],
        told: Callable[[int, int], None] = lambda done, goal: None,
    ) -> Sequence[int]:
        """Those of `uids` that meet the criterion; both ascend. Messages that are gone are left out."""
        found, unknown = array("I"), array("I", uids)
        if self.indexer is not None and self._helper is not None and len(unknown) > FEW:
            try:
                found, unknown = await self._ask_index(self._helper, mailbox, criterion, unknown)
            except HelperGone as problem:
                log.warning("search.helper_gone", problem=str(problem))
        more: set[int] = set()
        for first in range(0, len(unknown), SCANNED_AT_ONCE):
            told(first, len(unknown))
            more |= await self._scan(mailbox, criterion, unknown[first : first + SCANNED_AT_ONCE])
        return sorted(more.union(found)) if more else found

    @property
    def helps(self) -> bool:
        """Whether there is a helper process."""
        return self._helper is not None

    async def make(self, root: str, files: list[File], kind: str) -> dict[str, dict[int, bytes]] | None:
        """Answers of a kind of `store.mailbox.answers`, made by the helper; None where it could not."""
        if self._helper is None:
            return None
        try:
            answer = await self._helper.ask(Make(root, files, kind))
        except HelperGone as problem:
            log.warning("search.helper_gone", problem=str(problem))
            return None
        return None if answer.problem else answer.made

    async def _ask_index(
        self, helper: HelperProcess, mailbox: Mailbox, criterion: AnyCriterion, uids: array[int]
    ) -> tuple[array[int], array[int]]:
        """Which are found, and of which the index does not know."""
        place = mailbox.text_place
        if mailbox.text_others is None:
            others = frozenset(array("I", (await helper.ask(mailbox.comparison)).unknown))
            mailbox.text_others = others if mailbox.text_others is None else mailbox.text_others
        unsure = array("I", [uid for uid in uids if uid in mailbox.text_others]) if mailbox.text_others else array("I")
        if unsure:
            uids = array("I", [uid for uid in uids if uid not in mailbox.text_others])
        answer = await helper.ask(Find(place.database, place.mailbox, criterion, uids.tobytes()))
        if answer.damaged:
            log.error("search.index_damaged", database=place.database)
            await self.renew(place, mailbox.siblings)
        if answer.problem:
            log.warning("search.failed", problem=answer.problem)
            return array("I"), unsure + uids
        return array("I", answer.found), unsure + array("I", answer.unknown)

    async def _scan(self, mailbox: Mailbox, criterion: AnyCriterion, uids: array[int], *, spare: bool = False) -> set[int]:
        """`spare` the server: it looks into none itself."""
        files = mailbox.files(uids)
        if self._helper is None or (not spare and len(files) <= FEW and self._small(mailbox, criterion, uids)):
            return await self._look(mailbox, criterion, files)
        try:
            answer = await self._helper.ask(Scan(mailbox.text_place.root, files, criterion))
        except HelperDied as problem:
            return await self._scan_each(mailbox, criterion, files, problem)
        except HelperGone as problem:
            log.warning("search.helper_gone", problem=str(problem))
            return await self._look(mailbox, criterion, files)
        found = set(array("I", answer.found))
        if answer.problem:
            return await self._look(mailbox, criterion, files)
        if answer.unknown:
            # A promised rename may be on its way.
            found |= await self._look(mailbox, criterion, mailbox.files(array("I", answer.unknown)))
        return found

    async def _scan_each(self, mailbox: Mailbox, criterion: AnyCriterion, files: list[File], problem: HelperDied) -> set[int]:
        """One of these ended the helper, perhaps: it shall not do so to the server."""
        if len(files) == 1:
            log.error("search.message_refused", file=str(files[0].path), problem=str(problem))
            return set()
        found: set[int] = set()
        for file in files:
            found |= await self._scan(mailbox, criterion, array("I", [file.uid]), spare=True)
        return found

    def _small(self, mailbox: Mailbox, criterion: AnyCriterion, uids: array[int]) -> bool:
        if isinstance(criterion, InField | Sent):
            return True
        places = [place for uid in uids if (place := mailbox.position(uid)) is not None]
        return sum(mailbox.sizes[place] for place in places) <= SMALL

    async def _look(self, mailbox: Mailbox, criterion: AnyCriterion, files: list[File]) -> set[int]:
        """In a thread of the server."""
        maildir = mailbox.maildir

        def blocking(files: list[File]) -> dict[int, bool]:
            results = ((file.uid, look(maildir, file, criterion)) for file in files)
            return {uid: result for uid, result in results if result is not None}

        results = await mailbox.read_files(files, blocking)
        return {uid for uid, result in results.items() if result}

    async def close(self) -> None:
        if self.indexer is not None:
            await self.indexer.close()
        if self._helper is not None:
            await self._helper.close()
