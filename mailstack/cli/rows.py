"""Rows with what, state and text, and what they mean: effect and fix."""

import textwrap
from typing import Any

from rich.console import Console
from rich.text import Text

COLOURS = {"ok": "green", "info": "cyan", "warn": "yellow", "bad": "bold red"}


def print_rows(rows: list[dict[str, Any]], *, indent: str = "") -> None:
    """For people; what is well takes one line, and what several rows in turn have in common is said once."""
    console = Console(soft_wrap=True, highlight=False)
    width = max([len(row["what"]) for row in rows] + [4])
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        line = Text(indent)
        line.append(f"{row['state']:<4}", COLOURS[row["state"]])
        line.append(f"  {row['what']:<{width}}  {row['text']}")
        if row.get("ttl") is not None:
            line.append(f"  TTL {row['ttl']}", "dim")
        console.print(line)
        for word in ("effect", "fix"):
            if row.get(word) and not _same(row, following):
                console.print(Text(textwrap.indent(f"{word + ':':<7} {row[word]}", indent + " " * (width + 8))))


def _same(row: dict[str, Any], following: dict[str, Any] | None) -> bool:
    return following is not None and all(row.get(key) == following.get(key) for key in ("state", "text", "effect", "fix"))


def worst(rows: list[dict[str, Any]]) -> str:
    """The worst state among them."""
    return max((row["state"] for row in rows), key=list(COLOURS).index, default="ok")
