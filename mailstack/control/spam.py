"""spam.*: what accounts taught, teaching them, and why a message looks as it does."""

import base64
import binascii
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_address
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.message.header import split_header
from mailstack.message.tokens import MESSAGE_LIMIT, key, tokens
from mailstack.policy.judgement import read_evidence
from mailstack.policy.spam import bayes
from mailstack.policy.spam.facts import Facts
from mailstack.policy.spam.learning import Learner
from mailstack.policy.spam.lessons import Lesson
from mailstack.policy.spam.rules import look
from mailstack.store.errors import NoSuchMailbox, StoreFailed
from mailstack.store.learned.door import LearnedDoor
from mailstack.store.learned.file import NAME, Counts, LearnedFile
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import AccountFolder
from mailstack.store.users.directory import Directory


class SpamOperations:
    def __init__(
        self, directory: Directory, mailboxes: Mailboxes, door: LearnedDoor, learner: Learner, clock: Callable[[], float]
    ) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._door = door
        self._learner = learner
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {"spam.train": self.train, "spam.explain": self.explain, "spam.stats": self.stats}

    async def _folder(self, text: str) -> AccountFolder:
        return self._directory.folder(await find_account(self._directory, text))

    async def train(self, arguments: Arguments) -> Any:
        """Teach an account all messages of a mailbox, and wait until they are learned."""
        folder = await self._folder(arguments["address"])
        account = await self._mailboxes.account(folder)
        try:
            mailbox = await account.open(arguments["mailbox"])
        except NoSuchMailbox:
            raise OperationProblem(f"there is no mailbox {arguments['mailbox']!r}") from None
        try:
            uids = list(mailbox.uids)
            await self._learner.teach(account, mailbox, uids, Lesson.UNWANTED if arguments["junk"] else Lesson.WANTED)
        finally:
            mailbox.release()
        await self._learner.settled()
        return {"messages": len(uids), **await self._totals(folder)}

    async def stats(self, arguments: Arguments) -> Any:
        """Of one account, or of all that taught something."""
        wanted = arguments.get("address")
        addresses = [read_address(wanted).key] if wanted else [row["address"] for row in await self._directory.accounts()]
        rows = []
        for address in addresses:
            folder = await self._folder(address)
            if (folder.path / NAME).exists():
                rows.append({"address": address, **await self._totals(folder)})
            elif wanted:
                rows.append({"address": address, "junk": 0, "wanted": 0, "words": 0, "speaks": False})
        return rows

    async def _totals(self, folder: AccountFolder) -> dict[str, Any]:
        try:
            junk, good, words = await self._door.run(folder.path, LearnedFile.totals)
        except StoreFailed as problem:
            raise OperationProblem(f"what was learned can't be read: {problem.detail}") from None
        return {"junk": junk, "wanted": good, "words": words, "speaks": min(junk, good) >= bayes.ENOUGH}

    async def explain(self, arguments: Arguments) -> Any:
        """What the header's rules say of a message, and the words that weigh most for an account."""
        try:
            data = base64.b64decode(arguments["message"], validate=True)[:MESSAGE_LIMIT]
        except (binascii.Error, ValueError):
            raise OperationProblem("the message is not base64") from None
        header, _ = split_header(data)
        facts = Facts("", "", "", None, header, now=self._clock(), here=True)
        findings = look(facts, {})
        words: list[dict[str, Any]] = []
        if arguments.get("address"):
            folder = await self._folder(arguments["address"])
            names, counts = await self._door.hop(self._look, data, folder.path)
            found = bayes.finding(counts)
            findings += [found] if found is not None else []
            words = [
                {"word": word, "unwanted": round(value * 100), "junk": junk, "wanted": good}
                for word, value, junk, good in bayes.telling(counts, names)
            ]
        written = read_evidence(header)
        return {
            "when_it_came": None if written is None else written.fields(),
            "findings": [{"rule": one.rule, "weight": one.weight, "why": one.text} for one in findings],
            "words": words,
        }

    def _look(self, data: bytes, folder: Path) -> tuple[dict[int, str], Counts]:
        """In the thread of the files."""
        names = {key(word): word for word in tokens(data)}
        (counts,) = self._door.look([folder], lambda file: file.counts(list(names)))
        return names, counts or Counts((), 0, 0)
