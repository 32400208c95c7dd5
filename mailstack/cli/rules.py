"""user vacation, user forward, sieve rules: what the rules page does."""

from pathlib import Path
from typing import Any

import orjson
import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import fail, read_text, show

HAND = typer.Option("", "--hand", help="where a hand wrote the active script: it goes on 'after' the rules, or 'rest's")
OFF = typer.Option(False, "--off", help="end it; the text is kept")
NO_ADDRESSES = typer.Argument(None)
NO_FILE = typer.Argument(None)
TEXT = typer.Option("", help="the answer")
TEXT_FILE = typer.Option(None, help="a file with the answer")
ALSO = typer.Option([], "--also", help="a further address of the account's own that the server does not know")
DAYS = typer.Option(7, help="a sender gets one answer in so many days")
KEEP = typer.Option(True, "--keep/--no-keep", help="whether a copy stays here")


def vacation(
    context: typer.Context,
    address: str,
    text: str = TEXT,
    text_file: Path | None = TEXT_FILE,
    subject: str = typer.Option("", help="of the answer"),
    first: str = typer.Option("", help="the first day, like 2027-07-01"),
    last: str = typer.Option("", help="the last day"),
    days: int = DAYS,
    also: list[str] = ALSO,
    off: bool = OFF,
    hand: str = HAND,
    json: bool = JSON,
) -> None:
    """Have an account's mail answered while its owner is away; without a text show what is set.

    Example: mailstack user vacation alice@example.org --text "Back in May." --last 2027-04-30
    """
    one = invocation(context)
    state = one.run("rules.show", address=address)
    form: dict[str, Any] = state["forms"]["vacation"]
    if text_file is not None:
        text = read_text(text_file)
    if not text and not off:
        show([form], json, ["on", "first", "last", "days", "subject", "text"])
        return
    if off:
        form["on"] = False
    else:
        form = {"on": True, "text": text, "subject": subject, "days": days, "addresses": also}
        form |= {"first": first or None, "last": last or None}
    one.run("rules.save", address=address, vacation=form, version=state["version"], hand=hand or None)


def forward(
    context: typer.Context,
    address: str,
    to: list[str] = NO_ADDRESSES,
    keep: bool = KEEP,
    off: bool = typer.Option(False, "--off", help="end it"),
    hand: str = HAND,
    json: bool = JSON,
) -> None:
    """Send all that comes for an account on to other addresses; without any show where it goes.

    Example: mailstack user forward alice@example.org alice@elsewhere.example --no-keep
    """
    one = invocation(context)
    state = one.run("rules.show", address=address)
    if not to and not off:
        form = state["forms"]["forwarding"]
        show([{**form, "addresses": ", ".join(form["addresses"]) or None}] if not json else [form], json, ["addresses", "keep"])
        return
    form = {"addresses": [] if off else to, "keep": keep}
    one.run("rules.save", address=address, forwarding=form, version=state["version"], hand=hand or None)


def rules(context: typer.Context, address: str, file: Path | None = NO_FILE, hand: str = HAND, json: bool = JSON) -> None:
    """Show the rules that an account's owner made by forms, or take them over from a file as --json prints them.

    Example: mailstack sieve rules alice@example.org rules.json
    """
    one = invocation(context)
    state = one.run("rules.show", address=address)
    if file is not None:
        try:
            wanted = orjson.loads(read_text(file))
        except orjson.JSONDecodeError as problem:
            fail(f"{file}: not JSON: {problem}", 2)
        one.run("rules.save", address=address, rules=wanted, version=state["version"], hand=hand or None)
        return
    found = state["forms"]["rules"]
    if not json:
        found = [{**rule, "if": _tests(rule), "then": _actions(rule)} for rule in found]
        if state["hand"]:
            print(f"The active script {state['hand']!r} was written by hand; these rules are not asked.")
    show(found, json, ["name", "enabled", "if", "then"])


def _tests(rule: dict[str, Any]) -> str:
    return (" and " if rule["every"] else " or ").join(_test(one) for one in rule["conditions"]) or "always"


def _test(one: dict[str, Any]) -> str:
    return f"{one['header'] or one['what']} {'not ' if one['negated'] else ''}{one['how']} {one['value']}".strip()


def _actions(rule: dict[str, Any]) -> str:
    return ", ".join(f"{one['does']} {one['target']}".strip() for one in rule["actions"])
