"""Rows with what, state and text, and what they mean: effect and fix."""

import textwrap
from typing import Any

from rich.console import Console
from rich.text import Text

COLOURS = {"ok": "green", "info": "cyan", "warn": "yellow", "bad": "bold red"}


def print_rows(rows: list[dict[str, Any]], *, indent: str = "") -> None:
    """For people; what is well takes one line."""
    console = Console(soft_wrap=True, highlight=False)
    width = max([len(row["what"]) for row in rows] + [4])
    for row in rows:
        line = Text(indent)
        line.append(f"{row['state']:<4}", COLOURS[row["state"]])
        line.append(f"  {row['what']:<{width}}  {row['text']}")
        if row.get("ttl") is not None:
            line.append(f"  TTL {row['ttl']}", "dim")
        console.print(line)
        for word in ("effect", "fix"):
            if row.get(word):
                console.print(Text(textwrap.indent(f"{word + ':':<7} {row[word]}", indent + " " * (width + 8))))


def worst(rows: list[dict[str, Any]]) -> str:
    """The worst state among them."""
    return max((row["state"] for row in rows), key=list(COLOURS).index, default="ok")
