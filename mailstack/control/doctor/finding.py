"""What a look came to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailstack.config import Config
from mailstack.net.dns import Resolver


@dataclass(frozen=True, slots=True)
class Finding:
    """`state`: ok, info, warn or bad; `effect` and `fix` where something is to be done."""

    what: str
    state: str
    text: str
    effect: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is looked at. `ask` does another operation, and gives None where there is none such now, or it can't be done.

    `outside`: hosts that have nothing to do with this server may be asked, too.
    """

    config: Config
    running: bool
    resolver: Resolver
    ask: Callable[..., Awaitable[Any]]
    now: float
    outside: bool = False

    @property
    def folders(self) -> list[Path]:
        """Where mail and indexes are."""
        index = self.config.store.index_dir
        return [self.config.data, *([Path(index)] if index else [])]


Check = Callable[[Patient], Awaitable[list[Finding]]]
