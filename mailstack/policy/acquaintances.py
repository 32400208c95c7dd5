"""To whom accounts wrote before: the people an account knows are few, and are kept in memory as a whole where they fit."""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from mailstack.store.users.sending import SendingBook

KEPT = 100_000  # people in memory, of all accounts
CIRCLE = 2000  # people of one account that are read at once; of one who knows more, each is looked up


@dataclass(slots=True)
class _Circle:
    """`whole`: whom it lacks, the account does not know."""

    people: set[str] = field(default_factory=set)
    whole: bool = False


class Acquaintances:
    """One for the server, on the event loop; what is added here the book writes."""

    def __init__(self, book: SendingBook) -> None:
        self._book = book
        self._circles: OrderedDict[str, _Circle] = OrderedDict()
        self._count = 0

    async def is_new(self, account: str, person: str) -> bool:
        circle = self._circles.get(account)
        if circle is None:
            circle = await self._read(account)
        self._circles.move_to_end(account)
        if person in circle.people:
            return False
        if circle.whole or await self._book.unknown(account, [person]):
            return True
        self._remember(account, [person])
        return False

    def has(self, account: str, person: str) -> bool:
        """Whether it is in memory that the account wrote to somebody: what was sent of late is."""
        circle = self._circles.get(account)
        return circle is not None and person in circle.people

    def add(self, account: str, people: Collection[str]) -> None:
        self._book.learn(account, people)
        self._remember(account, people)

    def forget(self, account: str) -> None:
        circle = self._circles.pop(account, None)
        if circle is not None:
            self._count -= len(circle.people)

    async def _read(self, account: str) -> _Circle:
        found = await self._book.known(account, CIRCLE)
        circle = self._circles.get(account)  # another message of the account may have been as quick
        if circle is None:
            whole = len(found) < CIRCLE
            circle = self._circles[account] = _Circle(set(found) if whole else set(), whole)
            self._count += len(circle.people)
            self._make_room(account)
        return circle

    def _remember(self, account: str, people: Iterable[str]) -> None:
        circle = self._circles.setdefault(account, _Circle())
        before = len(circle.people)
        circle.people.update(people)
        self._count += len(circle.people) - before
        self._make_room(account)

    def _make_room(self, account: str) -> None:
        while self._count > KEPT and len(self._circles) > 1:
            oldest = next(iter(self._circles))
            if oldest == account:
                self._circles.move_to_end(oldest)
                continue
            self.forget(oldest)
        if self._count > KEPT:
            # One account alone that knows as many: from now on each is looked up.
            self.forget(account)
            self._circles[account] = _Circle()
