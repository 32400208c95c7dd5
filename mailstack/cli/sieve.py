"""sieve: users' rules."""

from pathlib import Path

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import fail, read_text, show, when

sieve = typer.Typer(no_args_is_help=True, help="Users' rules for incoming mail (Sieve scripts).")
NAME = typer.Option("main", "--name", help="the script's name")
FILE = typer.Argument(None, help="a script; without one it is the active script")
ACTIVE = typer.Option(True, "--activate/--keep", help="make it the active one, or only keep it")


@sieve.command("check")
def sieve_check(file: Path, json: bool = JSON) -> None:
    """Say whether a file is a script, or which line is wrong. No server is asked.

    Example: mailstack sieve check rules.sieve
    """
    from mailstack.sieve.problem import SieveProblem
    from mailstack.sieve.script import compile

    try:
        compile(read_text(file))
    except SieveProblem as problem:
        if json:
            show([{"line": problem.line, "reason": problem.reason}], True, [])
            raise typer.Exit(1) from None
        fail(f"{file}:{problem.line}: {problem.reason}")
    if json:
        show([], True, [])
    else:
        print(f"{file}: a script")


@sieve.command("put")
def sieve_put(context: typer.Context, address: str, file: Path, name: str = NAME, active: bool = ACTIVE) -> None:
    """Keep a script for an account, and make it the active one.

    Example: mailstack sieve put alice@example.org rules.sieve --name holidays
    """
    invocation(context).run("sieve.put", address=address, script=name, source=read_text(file), active=active)


@sieve.command("list")
def sieve_list(context: typer.Context, address: str, json: bool = JSON) -> None:
    """List an account's scripts.

    Example: mailstack sieve list alice@example.org
    """
    show(invocation(context).run("sieve.list", address=address), json, ["name", "active"])


@sieve.command("show")
def sieve_show(context: typer.Context, address: str, name: str = NAME, json: bool = JSON) -> None:
    """Print a script.

    Example: mailstack sieve show alice@example.org --name main
    """
    found = invocation(context).run("sieve.show", address=address, script=name)
    if json:
        show([found], True, [])
    else:
        print(found["script"], end="")


@sieve.command("activate")
def sieve_activate(context: typer.Context, address: str, name: str = typer.Argument("", help="empty: none")) -> None:
    """Make a script the active one, or none of them.

    Example: mailstack sieve activate alice@example.org main
    """
    invocation(context).run("sieve.activate", address=address, script=name)


@sieve.command("remove")
def sieve_remove(context: typer.Context, address: str, name: str) -> None:
    """Remove a script that is not active.

    Example: mailstack sieve remove alice@example.org holidays
    """
    invocation(context).run("sieve.remove", address=address, script=name)


@sieve.command("test")
def sieve_test(
    context: typer.Context,
    address: str,
    file: Path = FILE,
    days: int = typer.Option(30, "--days", min=1, help="how far to look back"),
    mailbox: str = typer.Option("", "--mailbox", help="only this one; else all but Sent and Drafts"),
    json: bool = JSON,
) -> None:
    """Show what a script would have done to the mail of the last days. Nothing is done.

    Example: mailstack sieve test alice@example.org rules.sieve --days 30
    """
    source = read_text(file) if file is not None else None
    rows = invocation(context).run("sieve.test", address=address, source=source, days=days, mailbox=mailbox or None)
    if not json:
        rows = [
            {
                **row,
                "time": when(row["time"]),
                "from": row["from"][:32],
                "subject": row["subject"][:32],
                "does": row["problem"] or "; ".join(row["actions"]) or "nothing",
            }
            for row in rows
        ]
    show(rows, json, ["time", "mailbox", "from", "subject", "does"])
