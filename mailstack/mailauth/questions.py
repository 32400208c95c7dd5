"""What an evaluation asks of the DNS: generators yield questions and are sent answers; who drives them has the network.

One yield holds all questions that can be asked at the same time; it is sent their answers in the same order.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """`kind`: TXT, A, AAAA, MX."""

    name: str
    kind: str = "TXT"


@dataclass(frozen=True, slots=True)
class Answer:
    """`values` are empty where there is nothing. `trouble`: nobody knows, for now (SERVFAIL, timeout)."""

    values: tuple[str, ...] = ()
    trouble: bool = False


Evaluation = Generator[tuple[Question, ...], tuple[Answer, ...], T]
