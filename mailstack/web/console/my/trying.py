"""What a script would have done to the mail of the last days, for a page to show."""

import asyncio
from dataclasses import dataclass
from typing import Any

from mailstack.web.console.visit import Refused, Visit

DAYS = 30
SECONDS = 60.0
SHOWN = 200
AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Trial:
    """Of `looked` messages those to which something is done, the newest first, and not more than a page holds."""

    looked: int
    touched: int
    rows: list[dict[str, Any]]


def _touched(row: dict[str, Any]) -> bool:
    asked = not any(text.startswith("not asked") for text in row["actions"])  # junk is left to the spam filter
    return bool(row["problem"]) or (asked and row["actions"] not in (["keep"], []))


_WORDS = {
    "fileinto ": "into ",
    "redirect ": "sent on to ",
    "vacation to ": "answer to ",
    "discard": "thrown away",
    "keep": "kept",
}


def _does(row: dict[str, Any]) -> str:
    if row["problem"]:
        return f"kept, because the script fails: {row['problem']}"
    return "; ".join(_plainly(text) for text in row["actions"])


def _plainly(text: str) -> str:
    for begins, plain in _WORDS.items():
        if text.startswith(begins):
            return plain + text.removeprefix(begins)
    return text


class Trials:
    """Few at a time, and one of an account: each reads a mailbox's mail."""

    def __init__(self) -> None:
        self._busy: set[str] = set()

    async def run(self, visit: Visit, source: str | None) -> Trial:
        """`source`: None is the active script. Raises Refused."""
        address = visit.account.address
        if address in self._busy or len(self._busy) >= AT_ONCE:
            raise Refused("rules are tried just now, by you or by others; try again in a moment")
        self._busy.add(address)
        try:
            async with asyncio.timeout(SECONDS):
                rows = await visit.own("sieve.test", source=source, days=DAYS)
        except TimeoutError:
            raise Refused("there is so much mail of the last days that this takes too long") from None
        finally:
            self._busy.discard(address)
        touched = [{**row, "does": _does(row)} for row in rows if _touched(row)]
        return Trial(len(rows), len(touched), touched[::-1][:SHOWN])
