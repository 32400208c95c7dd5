"""Many accounts at once, from the rows of a file."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mailstack.control.arguments import OperationProblem, read_address, read_password, read_quota
from mailstack.message.address import Address
from mailstack.store.users.directory import Directory
from mailstack.store.users.passwords import hash_password, known_scheme
from mailstack.store.users.scram import Scram

HASHES_AT_ONCE = 16
Hop = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of an import."""

    line: int
    address: Address
    password: str
    hashed: str
    quota: int | None


def _read_rows(rows: list[dict[str, Any]]) -> tuple[list[_Row], dict[int, str]]:
    """Rows that make sense, and what is wrong with the others, by line of the file."""
    good: list[_Row] = []
    problems: dict[int, str] = {}
    seen: set[str] = set()
    for row in rows:
        line = int(row["line"])
        try:
            if row.get("more"):
                raise OperationProblem("more fields than columns; a comma in a password needs quotes around it")
            address = read_address((row.get("address") or "").strip())
            hashed = (row.get("hash") or "").strip()
            if hashed and not hashed.startswith("{"):
                hashed = "{CRYPT}" + hashed
            if hashed and not known_scheme(hashed):
                raise OperationProblem("the hash's scheme is not known")
            if not hashed:
                read_password(row.get("password") or "")
            if address.key in seen:
                raise OperationProblem(f"{address.key} is there twice")
            seen.add(address.key)
            quota = read_quota((row.get("quota") or "").strip() or None)
            good.append(_Row(line, address, row.get("password") or "", hashed, quota))
        except OperationProblem as problem:
            problems[line] = str(problem)
    return good, problems


async def import_accounts(
    directory: Directory, scram: Scram, rows: list[dict[str, Any]], hop: Hop, clock: Callable[[], float]
) -> int:
    """All or nothing: every bad line is named. How many were added."""
    good, problems = await hop(_read_rows, rows)
    domains = await directory.domains()
    taken = {row["address"] for row in await directory.accounts()}
    taken |= {row["source"] for row in await directory.aliases()}
    for row in good:
        if row.address.domain not in domains:
            problems[row.line] = f"domain {row.address.domain} is not here; add it first: mailstack domain add"
        elif row.address.key in taken:
            problems[row.line] = f"{row.address.key} is there already"
    if problems:
        lines = [f"line {line}: {problem}" for line, problem in sorted(problems.items())]
        raise OperationProblem("\n".join([*lines, "nothing was imported"]))
    # The same password in many rows (a class room) is hashed once; a few threads hash at a time.
    passwords = list(dict.fromkeys(row.password for row in good if not row.hashed))
    hashes = dict(zip(passwords, await _hash_all(passwords, hop), strict=True))
    ready = [(row.address, row.hashed or hashes[row.password], row.quota) for row in good]
    seen = [(row.address.key, row.password) for row in good if not row.hashed]
    return len(await directory.add_accounts(ready, clock(), await _scram_keys(scram, seen, hop)))


async def _scram_keys(scram: Scram, passwords: list[tuple[str, str]], hop: Hop) -> dict[str, str | None]:
    """What SCRAM needs, by account; the same passwords have other salts."""
    made: dict[str, str | None] = {}
    for first in range(0, len(passwords), HASHES_AT_ONCE):
        piece = [(key, await scram.salt(key), password) for key, password in passwords[first : first + HASHES_AT_ONCE]]
        made.update(await hop(lambda piece: {key: scram.make(salt, password) for key, salt, password in piece}, piece))
    return made


async def _hash_all(passwords: list[str], hop: Hop) -> list[str]:
    """In pieces, so that other commands get their turn in the threads."""
    hashes: list[str] = []
    for first in range(0, len(passwords), HASHES_AT_ONCE):
        piece = passwords[first : first + HASHES_AT_ONCE]
        hashes += await asyncio.gather(*(hop(hash_password, password) for password in piece))
    return hashes
