"""`mailstack dns`: what the DNS should say, what it says, and what that does."""

import sys
import time
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import Invocation, fail
from mailstack.cli.rows import COLOURS, print_rows, worst
from mailstack.config import duration

DOMAIN = typer.Argument("", help="empty: all domains")
ZONE = typer.Option(False, "--zone", help="lines for a zone file, to copy and paste")
WAIT = typer.Option(False, "--wait", help="ask the zones' own name servers again and again, until all is right; Ctrl-C ends it")
UPDATE = typer.Option(False, "--update", help="put what is missing into the zones, by dns.update_server")
REPLACE = typer.Option(False, "--replace", help="with --update: also in place of what leads elsewhere, like MX of others")
SERVER = typer.Option([], "--server", help="ask this name server (address or address:port); may be given again")
EVERY = typer.Option("15s", "--every", help="with --wait: how often")
LIMIT = typer.Option("", "--for", help="with --wait: how long at most, like 30m; empty: until all is right")


def dns(
    context: typer.Context,
    domain: str = DOMAIN,
    json: bool = JSON,
    zone: bool = ZONE,
    wait: bool = WAIT,
    update: bool = UPDATE,
    replace: bool = REPLACE,
    server: list[str] = SERVER,
    every: str = EVERY,
    limit: str = LIMIT,
) -> None:
    """Compare the DNS with what it should say: wanted, found, and what it does to mail where they differ.

    Example: mailstack dns example.org --wait
    """
    one = invocation(context)
    if "." not in one.config().hostname:
        hint = "in the DNS nobody else knows its names; make it the real server: mailstack go-public example.org"
        print(f"mailstack: hostname is {one.config().hostname}, a trial: {hint}", file=sys.stderr)
    asked: dict[str, Any] = {"domain": domain or None, "servers": server}
    if update:
        asked["servers"] = server or [one.config().dns.update_server]
        _update(one, asked["domain"], replace)
    if zone:
        _print_zone(one.run("dns.zone", **asked), json)
        return
    if wait:
        rows = wait_until_right(one, asked, _seconds("--every", every), _seconds("--for", limit) if limit else None, quiet=json)
    else:
        rows = one.run("dns.compare", fresh=update, **asked)
    if json:
        print(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
    elif not wait:
        print_domains(rows)
    if worst(rows) == "bad" or (wait and worst(rows) == "warn"):
        raise typer.Exit(1)


def _seconds(option: str, text: str) -> float:
    try:
        return duration(text)
    except ValueError as problem:
        fail(f"{option}: {problem}", 2)


def print_domains(rows: list[dict[str, Any]]) -> None:
    """The host's rows, then each domain's."""
    for name in dict.fromkeys(row["domain"] for row in rows):
        print(name)
        print_rows([row for row in rows if row["domain"] == name], indent="  ")


def _print_zone(zones: dict[str, list[str]], json: bool) -> None:
    if json:
        print(orjson.dumps(zones, option=orjson.OPT_INDENT_2).decode())
        return
    for name, lines in zones.items():
        print(f"; {name}", *lines, sep="\n", end="\n\n")


def _update(one: Invocation, domain: str | None, replace: bool) -> None:
    done = one.run("dns.update", domain=domain, replace=replace)
    for change in done:
        for sign, values in (("-", change["remove"] or ()), ("+", change["add"])):
            for value in values:
                print(f"{sign} {change['name']}. {change['kind']} {value}", file=sys.stderr)
    print("Nothing to change." if not done else f"{len(done)} changes made.", file=sys.stderr)


# Waiting ------------------------------------------------------------------------------------------------------------


def wait_until_right(
    one: Invocation, asked: dict[str, Any], every: float, limit: float | None, *, quiet: bool = False, essential: bool = False
) -> list[dict[str, Any]]:
    """The last rows: all of them right, or what they were when the time was over. Ctrl-C ends the command.

    `essential`: what is merely better (warn) is not waited for.
    """
    end = time.monotonic() + limit if limit is not None else None
    console = Console(stderr=quiet)
    rows: list[dict[str, Any]] = []
    told: dict[tuple[str, str], str] = {}
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                rows = one.run("dns.compare", fresh=True, foreign=False, **asked)
                left = _left(rows, essential)
                if console.is_terminal:
                    live.update(_table(rows, every), refresh=True)
                else:
                    _tell(console, rows, told)
                if not left or (end is not None and time.monotonic() + every > end):
                    break
                time.sleep(every)
    except KeyboardInterrupt:
        console.print("Stopped waiting; the same command goes on with it.")
        _tell_left(console, _left(rows, essential))
        raise typer.Exit(1) from None
    _tell_left(console, left)
    if not left:
        console.print("The DNS is as it should be.")
    return rows


def _tell_left(console: Console, left: list[dict[str, Any]]) -> None:
    if left:
        console.print("Still missing:")
        for row in left:
            what_to_do = (row["fix"] if row.get("wanted", True) else "") or row["text"]
            console.print(f"  {row['what']} {row['name']}: {what_to_do}", soft_wrap=True, markup=False)


def _left(rows: list[dict[str, Any]], essential: bool) -> list[dict[str, Any]]:
    return [row for row in rows if is_essential(row) or (row["state"] in ("bad", "warn") and not essential)]


def is_essential(row: dict[str, Any]) -> bool:
    """What no server can do without: what is bad, and addresses and MX of which nobody can say how they are."""
    return row["state"] == "bad" or (row["state"] == "warn" and row["what"] in ("A", "MX") and not row["found"])


def _table(rows: list[dict[str, Any]], every: float) -> Table:
    table = Table(caption=f"asked again every {every:g} s; Ctrl-C stops waiting", expand=False)
    for name in ("state", "what", "name", "found"):
        table.add_column(name, overflow="fold" if name == "found" else "ellipsis")
    for row in rows:
        colour = COLOURS[row["state"]]
        found = ", ".join(row["found"])
        table.add_row(f"[{colour}]{row['state']}[/]", row["what"], row["name"], found[:60] + "…" * (len(found) > 60) or "-")
    return table


def _tell(console: Console, rows: list[dict[str, Any]], told: dict[tuple[str, str], str]) -> None:
    """Without a terminal: a line for what changed."""
    for row in rows:
        key = (row["what"], row["name"])
        if told.get(key) != row["state"]:
            told[key] = row["state"]
            console.print(f"{row['state']:<4}  {row['what']} {row['name']}", soft_wrap=True, markup=False)
