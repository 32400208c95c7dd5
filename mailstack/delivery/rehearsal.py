"""What a script would have done: it is run over messages that came in, and nothing of it is carried out."""

import asyncio
from collections.abc import Callable
from typing import Any

from mailstack.delivery.asking import ANSWERED, SEEN
from mailstack.delivery.plan import Arrival
from mailstack.delivery.rules import Rules, described
from mailstack.message.address import Address, parse_address
from mailstack.message.envelope import Recipient
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import decode_words, first, split_header
from mailstack.policy.judgement import read_evidence
from mailstack.policy.routing import Local
from mailstack.policy.spam.lessons import REJECTS
from mailstack.sieve.actions import Outcome, Respond
from mailstack.sieve.script import compile
from mailstack.store.content import Content
from mailstack.store.errors import MessageGone, NoSuchScript
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import SpecialUse
from mailstack.store.sieve.scripts import Active
from mailstack.store.users.directory import AccountRecord, Directory

MOST = 5000  # messages of one rehearsal, the newest
SIZE = 16 << 20  # octets of a message that is read for it
# What the account's owner wrote did not come in, and what was refused did not either.
_OWN = frozenset({SpecialUse.SENT, SpecialUse.DRAFTS})


class _Recollection:
    """What the script would remember by now; time is that of the messages."""

    def __init__(self) -> None:
        self.now = 0.0
        self._at: dict[tuple[str, ...], float] = {}

    async def age(self, account: str, words: tuple[str, ...]) -> float | None:
        at = self._at.get(words)
        return self.now - at if at is not None else None

    def learn(self, outcome: Outcome) -> None:
        for one in outcome.remember:
            self._at[SEEN, one.handle, one.id] = self.now
        for action in outcome.actions:
            if isinstance(action, Respond):
                self._at[ANSWERED, action.handle, action.to.lower()] = self.now


class Rehearsal:
    """One for the server."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, rules: Rules, clock: Callable[[], float]) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._rules = rules
        self._clock = clock

    async def run(self, record: AccountRecord, source: bytes | None, days: float, mailbox: str | None) -> list[dict[str, Any]]:
        """One row a message, oldest first. `source`: None is the active script; `mailbox`: None is all that mail comes into.

        Raises SieveProblem for what is no script, NoSuchScript, StoreProblem.
        """
        active = await self._script(record, source)
        account = await self._mailboxes.account(self._directory.folder(record))
        since = int(self._clock() - days * 86400)
        found: list[tuple[int, str, int]] = []
        for name in [mailbox] if mailbox else [one.name for one in account.mailboxes() if _comes_in(one)]:
            opened = await account.open(name)
            try:
                loaded = zip(opened.uids, opened.loaded.dates, opened.sizes, strict=True)
                found += [(date, name, uid) for uid, date, size in loaded if date >= since and size <= SIZE]
            finally:
                opened.release()
        rows, recalls = [], _Recollection()
        for date, name, uid in sorted(found)[-MOST:]:
            row = await self._one(active, record, account, name, uid, date, recalls)
            rows += [row] if row is not None else []
            await asyncio.sleep(0)
        return rows

    async def _script(self, record: AccountRecord, source: bytes | None) -> Active:
        if source is None:
            found = await self._rules.active(record.folder)
            if found is None:
                raise NoSuchScript
            return found
        return Active("", await self._rules.scripts.hop(compile, source, self._rules.scripts.language))

    async def _one(
        self,
        active: Active,
        record: AccountRecord,
        account: Account,
        name: str,
        uid: int,
        date: int,
        recalls: _Recollection,
    ) -> dict[str, Any] | None:
        opened = await account.open(name)
        try:
            data = (await opened.read_many([uid])).get(uid)
        except MessageGone:
            data = None
        finally:
            opened.release()
        if data is None:
            return None
        header, _ = split_header(data)
        arrival = Arrival("", _sender(header), Recipient(parse_address(record.address)), Content.of(data))
        judgement = read_evidence(header)
        row = {"time": date, "mailbox": name, "uid": uid, "from": _text(header, b"from"), "subject": _text(header, b"subject")}
        if not self._rules.wanted(active, judgement):
            return {**row, "actions": ["not asked: it was judged junk"], "problem": None}
        recalls.now = float(date)
        outcome = await self._rules.outcome(active, account, Local(record), arrival, recalls=recalls, now=recalls.now)
        recalls.learn(outcome)
        problem = f"line {outcome.problem.line}: {outcome.problem.reason}" if outcome.problem is not None else None
        return {**row, "actions": [words for _, words, _ in described(outcome)], "problem": problem}


def _comes_in(mailbox: Mailbox) -> bool:
    return mailbox.special_use not in _OWN and mailbox.name != REJECTS


def _sender(header: bytes) -> Address | None:
    """The envelope's sender, as the delivery wrote it down."""
    value = (first(header, b"return-path") or b"").decode("utf-8", "replace").strip("<>")
    try:
        return parse_address(value) if value else None
    except SyntaxProblem:
        return None


def _text(header: bytes, name: bytes) -> str:
    return decode_words(first(header, name) or b"")[:200]
