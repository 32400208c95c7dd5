"""Letters into an account, some together. What came in before, or is twice in the source, is not taken again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mailstack.store.errors import MailboxExists, NameRefused, TooManyKeywords
from mailstack.store.importing.letters import Letter, Skipped, unique
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.filename import email_id
from mailstack.store.mailbox.foldername import INBOX, normalise, to_folder
from mailstack.store.moving.names import roles

TOGETHER = 32  # messages that share their flushes
OCTETS = 4 << 20  # of messages at once
MOST = 100  # reasons that are told


@dataclass(slots=True)
class Filled:
    """What came of it: messages by mailbox, what was there already, what was no message, keywords that found no place."""

    mailboxes: dict[str, int] = field(default_factory=dict)
    there: int = 0
    skipped: list[str] = field(default_factory=list)
    more_skipped: int = 0
    without_keywords: int = 0

    @property
    def messages(self) -> int:
        return sum(self.mailboxes.values())

    def skip(self, where: str, reason: str) -> None:
        if len(self.skipped) < MOST:
            self.skipped.append(f"{where}: {reason}")
        else:
            self.more_skipped += 1


class Filling:
    """One account. `above`: the mailbox that takes what the source calls `own`, and below which its other folders go."""

    def __init__(self, account: Account, above: str | None, own: str) -> None:
        self._own = own
        self._account = account
        self._above = normalise(above) if above else None
        self._known: set[str] = set()
        self._places: dict[str, str] = {}
        self.filled = Filled()

    async def begin(self) -> None:
        """Learn what is there. Raises StoreProblem."""
        for name in self._account.names():
            mailbox = await self._account.open(name)
            self._known |= await self._account.hop(_imported, mailbox.loaded.bases[:])
            mailbox.release()

    async def take(self, letters: Iterable[Letter | Skipped]) -> None:
        """Raises StoreProblem. The contents are closed."""
        letters = list(letters)
        try:
            fresh: list[tuple[str, Letter]] = []
            for letter in letters:
                if isinstance(letter, Skipped):
                    self.filled.skip(letter.where, letter.reason)
                    continue
                place = await self._place(letter.mailbox)
                name = unique(place, letter.digest)
                if name in self._known:
                    self.filled.there += 1
                    continue
                self._known.add(name)
                fresh.append((place, letter))
            await self._deliver(fresh)
        finally:
            for letter in letters:
                if isinstance(letter, Letter):
                    letter.content.close()

    async def _deliver(self, fresh: list[tuple[str, Letter]]) -> None:
        if not fresh:
            return
        try:
            await self._account.deliver([(place, letter.message(place)) for place, letter in fresh])
        except TooManyKeywords:
            for place, letter in fresh:
                await self._alone(place, letter)
        for place, _ in fresh:
            self.filled.mailboxes[place] = self.filled.mailboxes.get(place, 0) + 1

    async def _alone(self, place: str, letter: Letter) -> None:
        try:
            await self._account.append(place, letter.message(place))
        except TooManyKeywords:
            self.filled.without_keywords += 1
            await self._account.append(place, letter.message(place, words=False))

    async def _place(self, wanted: str) -> str:
        """The mailbox that a name of the source means here; made where there is none."""
        place = self._places.get(wanted)
        if place is None:
            place = self._places[wanted] = await self._make(wanted)
        return place

    async def _make(self, wanted: str) -> str:
        name = possible_name(wanted)
        if self._above is not None:
            name = self._above if wanted == self._own or name == INBOX else f"{self._above}/{name}"
        else:
            use = roles([name]).get(name)
            mine = {row.special_use: row.name for row in await self._account.listing() if row.special_use is not None}
            name = mine.get(use, name) if use is not None else name
        if name not in self._account.names():
            try:
                await self._account.create(name)
                await self._account.subscribe(name)
            except MailboxExists:
                pass
        return name


def _imported(bases: list[bytes]) -> set[str]:
    """EMAILIDs of what was imported. There may be 100,000: from a thread."""
    return {found for base in bases if (found := email_id(base).decode()).startswith("i")}


def possible_name(wanted: str) -> str:
    """A name that can be a mailbox's."""
    parts = ["".join(one if one.isprintable() else "_" for one in part).strip() or "_" for part in wanted.split("/")]
    name = normalise("/".join(part if part.strip(".") else f"_{part}" for part in parts))
    for longest, deepest in ((len(name), len(parts)), (40, 4), (20, 4), (10, 3)):
        fitting = normalise("/".join(part[:longest] for part in name.split("/")[:deepest]))
        try:
            to_folder(fitting)
        except NameRefused:
            continue
        return fitting
    return "Imported"


def batches(letters: Iterator[Letter | Skipped]) -> Callable[[], list[Letter | Skipped]]:
    """Some more at each call, none when it was all. Blocking."""

    def more() -> list[Letter | Skipped]:
        some: list[Letter | Skipped] = []
        octets = 0
        for letter in letters:
            some.append(letter)
            octets += letter.content.size if isinstance(letter, Letter) else 0
            if len(some) >= TOGETHER or octets >= OCTETS:
                break
        return some

    return more
