"""trace, why, sent: what became of messages."""

import textwrap
from typing import Any

import orjson
import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import fail, show, when
from mailstack.control.story import clean

WIDTH = 100
WORDS = typer.Argument("", metavar="[WORDS]", help="words of the subject or of the sender's address, an id, or <Message-ID>")


def add_to(app: typer.Typer) -> None:
    """Commands without a group."""
    app.command()(why)
    app.command()(sent)
    app.command()(trace)


def why(
    context: typer.Context,
    user: str = typer.Argument(metavar="USER", help="who sent it or should have got it; or an id alone"),
    words: str = WORDS,
    last: bool = typer.Option(False, "--last", help="tell of the newest that fits, instead of listing all"),
    json: bool = JSON,
) -> None:
    """Tell in plain language what became of a message, and on which evidence.

    Example: mailstack why alice@example.org "invoice may"
    """
    found = invocation(context).run("trace.why", user=user, words=words, last=last)
    if json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    if found.get("stories"):
        print(textwrap.fill(found["stories"][0]["text"], WIDTH, break_long_words=False, break_on_hyphens=False))
        return
    if not found["candidates"]:
        what = f"such a message from or to {user}" if "@" in user else f"a message {user}"
        hint = (
            "; what was refused before its subject was known is found by its sender's address" if words and "@" in user else ""
        )
        fail(f"nothing is known of {what}; a trace is kept for 30 days{hint}")
    show([_row(one) for one in found["candidates"]], False, ["id", "time", "from", "to", "subject", "state"])
    if found["more"]:
        print("... and more")
    print(f"\nOne of them: mailstack why {user} ID; the newest: --last")


def _row(one: dict[str, Any]) -> dict[str, Any]:
    to = one["to"]
    return {
        "id": one["id"],
        "time": when(one["time"]),
        "from": clean(one["sender"] or "<>"),
        "to": clean(", ".join(to[:2]) + (f" +{len(to) - 2}" if len(to) > 2 else "")),
        "subject": clean(one["subject"])[:50] if one["subject"] else None,
        "state": one["state"],
    }


def sent(
    context: typer.Context,
    user: str = typer.Argument(metavar="USER", help="the account's address"),
    days: int = typer.Option(7, "--days", min=1, max=30, help="how far to look back"),
    json: bool = JSON,
) -> None:
    """Show for each receiver what was accepted, deferred and refused: by which host, with which words, over which TLS.

    Example: mailstack sent alice@example.org --days 2
    """
    rows = invocation(context).run("trace.sent", user=user, days=days)
    if json:
        show(rows, True, [])
        return
    if not rows:
        fail(f"{user} sent nothing within {days} days")
    for row in rows:
        row["time"] = when(row["time"])
        for key in ("to", "subject", "host", "reply"):
            row[key] = clean(row[key]) if row[key] else None
        row["subject"] = row["subject"] and row["subject"][:40]
    show(rows, False, ["time", "id", "to", "subject", "state", "host", "tls", "attempts", "reply"])


def trace(context: typer.Context, text: str, json: bool = JSON) -> None:
    """Show the events of a message: by its id, its Message-ID, or an address.

    Example: mailstack trace alice@example.org
    """
    events = invocation(context).run("trace", text=text)
    if json:
        print(orjson.dumps(events, option=orjson.OPT_INDENT_2).decode())
        return
    if not events:
        fail(f"nothing is known of {text}; a trace is kept for 30 days")
    last = None
    for event in events:
        if event["id"] != last:
            last = event["id"]
            print(last)
        rest = {key: value for key, value in event.items() if key not in ("time", "id", "event") and value}
        words = "  ".join(f"{key}={clean(value)}" for key, value in rest.items())
        print(f"  {when(event['time'])}  {event['event']:<10} {words}")
