"""What all accounts share: threads, the disk, the clock, caches, and the batches that flush together."""

import asyncio
import functools
import random
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from mailstack.store.batching import Batcher
from mailstack.store.disk import Disk
from mailstack.store.drafts import Draft
from mailstack.store.mailbox.answers import AnswerCache
from mailstack.store.mailbox.graves import KeepDeleted
from mailstack.store.mailbox.maildir import Naming
from mailstack.store.mailbox.searching import Searching

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Made once by Mailboxes."""

    executor: Executor
    disk: Disk
    clock: Callable[[], float]
    randomness: random.Random
    host: str
    answers: AnswerCache
    drafts: Batcher[Draft, None]
    namings: Batcher[Naming, None]
    searching: Searching
    keep_deleted: KeepDeleted
    across: set[Path] = field(default_factory=set)  # folders of accounts that got messages of others; backups look there

    async def hop(self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Run blocking work in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.executor, functools.partial(function, *arguments, **named))

    def new_unique(self) -> str:
        """An EMAILID: sorts by time, never given twice."""
        return f"{int(self.clock() * 1000):011x}{self.randomness.getrandbits(48):012x}"
