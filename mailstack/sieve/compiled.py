"""A script, compiled."""

from dataclasses import dataclass

from mailstack.sieve.step import Step


@dataclass(frozen=True, slots=True)
class Script:
    """What a source means. It holds no state of a run: any number may share it."""

    step: Step
    required: frozenset[str]  # the extensions that it asks for, and those that every script has
    octets: int = 0  # of memory, about
