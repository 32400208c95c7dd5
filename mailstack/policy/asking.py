"""The questions about one message: few at once, each one once, and none after the deadline.

What the resolver has kept is taken from there at once: for that no task is begun and no clock is set.
"""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import TypeVar

from mailstack.mailauth.questions import Answer, Evaluation, Question
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver

AT_ONCE = 16  # questions about one message that are under way

T = TypeVar("T")


class Asking:
    """Of one message."""

    def __init__(self, resolver: Resolver, seconds: float) -> None:
        self._resolver = resolver
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._known: dict[Question, Answer] = {}

    async def in_time(self, asking: Awaitable[T], late: T) -> T:
        try:
            async with asyncio.timeout_at(self._deadline):
                return await asking
        except TimeoutError:
            return late

    async def drive(self, evaluation: Evaluation[T], questions: tuple[Question, ...] | None = None) -> T:
        """Answer an evaluation's questions until it comes to its value. `questions`: its first, if it was begun."""
        try:
            if questions is None:
                questions = next(evaluation)
            while True:
                questions = evaluation.send(await self.all(questions))
        except StopIteration as end:
            value: T = end.value
            return value

    async def all(self, questions: tuple[Question, ...]) -> tuple[Answer, ...]:
        missing = self.missing(questions)
        if len(missing) == 1:
            self._known[missing[0]] = await self._answer(missing[0])
        elif missing:
            answers = await asyncio.gather(*(self._answer(question) for question in missing))
            self._known.update(zip(missing, answers, strict=True))
        return tuple([self._known[question] for question in questions])

    def missing(self, questions: Iterable[Question]) -> list[Question]:
        """Those that somebody must be asked."""
        return [question for question in questions if question not in self._known and not self._is_kept(question)]

    def _is_kept(self, question: Question) -> bool:
        values = self._resolver.kept(question.name, question.kind)
        if values is None:
            return False
        self._known[question] = Answer(values)
        return True

    async def _answer(self, question: Question) -> Answer:
        async with self._turns:
            return await self.in_time(self._ask(question), Answer(trouble=True))

    async def _ask(self, question: Question) -> Answer:
        try:
            return Answer(tuple(await self._resolver.plain(question.name, question.kind)))
        except NoSuchDomain:
            return Answer()
        except DnsTemporary:
            return Answer(trouble=True)
