"""queue, repair, health, check, config."""

import sys
from pathlib import Path
from typing import Any

import orjson
import typer
from rich.console import Console

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.bundle import write_bundle
from mailstack.cli.following import follow
from mailstack.cli.invocation import Invocation, fail, show, when
from mailstack.cli.reaching import greets, hosts
from mailstack.cli.rows import print_rows, worst
from mailstack.control.story import clean

OUTSIDE = typer.Option(False, "--outside", help="also ask hosts elsewhere: port 25 of large services, the time")
BUNDLE = typer.Option("", "--bundle", help="write a file for those who help (.tar.gz), without secrets and names")
LOG = typer.Option("", "--log", help="with --bundle: a file with the log; else the journal of the service")
queue = typer.Typer(no_args_is_help=True, help="Messages that wait for delivery.")


ID = typer.Argument("", show_default=False)
RESTORED = typer.Option(False, "--restored", help="all that a restore held")


@queue.command("list")
def queue_list(context: typer.Context, json: bool = JSON) -> None:
    """List what waits.

    Example: mailstack queue list
    """
    rows = invocation(context).run("queue.list")
    if json:
        show(rows, True, [])
        return
    if not rows:
        print("Nothing waits.")
        return
    for row in rows:
        row["next"] = "held" if row["held"] else when(row["next_attempt"])
        row["sender"] = clean(row["sender"])
        row["to"] = clean(", ".join(one["address"] for one in row["recipients"] if not one["done"]))
        row["last"] = next((clean(one["reply"]) for one in row["recipients"] if one["reply"]), None)
    show(rows, False, ["id", "sender", "to", "size", "attempts", "next", "held", "last"])


@queue.command("show")
def queue_show(context: typer.Context, id: str, json: bool = JSON) -> None:
    """Show one message: its recipients, their last replies, its header.

    Example: mailstack queue show 0mb3k2x9a1b2c3d4
    """
    found = invocation(context).run("queue.show", id=id)
    if json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    print(f"{found['id']} from {clean(found['sender'])}, {found['size']} octets, received {when(found['received'])}")
    state = f"held; let it go: mailstack queue release {id}" if found["held"] else f"next attempt {when(found['next_attempt'])}"
    print(f"{_count(found['attempts'], 'attempt')}; {state}")
    for one in found["recipients"]:
        print(f"  {clean(one['address'])}: {'done; ' if one['done'] else ''}{clean(one['reply'] or 'not tried yet')}")
    print()
    print("\n".join(clean(line) for line in found["header"].replace("\t", " ").splitlines()))


@queue.command("retry")
def queue_retry(context: typer.Context, id: str = typer.Argument("")) -> None:
    """Try one message now, or all.

    Example: mailstack queue retry
    """
    one = invocation(context)
    count = _count(one.run("queue.retry", id=id or None)["retried"], "message")
    print(f"{count} will be tried {'now' if one.running() else 'when the server runs: mailstack serve'}.")


@queue.command("hold")
def queue_hold(context: typer.Context, id: str) -> None:
    """Keep a message back, until it is released.

    Example: mailstack queue hold 0mb3k2x9a1b2c3d4
    """
    invocation(context).run("queue.hold", id=id)
    print(f"{id} is held; let it go: mailstack queue release {id}")


@queue.command("release")
def queue_release(context: typer.Context, id: str = ID, restored: bool = RESTORED) -> None:
    """Let a held message go, or all that a restore held.

    Example: mailstack queue release 0mb3k2x9a1b2c3d4
    """
    if _of_restore(id, restored):
        count = _count(invocation(context).run("queue.release", restored=True)["released"], "message")
        print(f"{count} of a restored queue: let go, and due now.")
        return
    invocation(context).run("queue.release", id=id)
    print(f"{id} is let go, and due now.")


@queue.command("drop")
def queue_drop(context: typer.Context, id: str = ID, restored: bool = RESTORED) -> None:
    """Throw a message away, or all that a restore held; nobody is told.

    Example: mailstack queue drop 0mb3k2x9a1b2c3d4
    """
    if _of_restore(id, restored):
        count = _count(invocation(context).run("queue.drop", restored=True)["dropped"], "message")
        print(f"{count} of a restored queue: gone; nobody is told.")
        return
    invocation(context).run("queue.drop", id=id)
    print(f"{id} is gone; nobody is told.")


def _of_restore(id: str, restored: bool) -> bool:
    if bool(id) is restored:
        fail("name one message, or say --restored for all that a restore held", 2)
    return restored


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def add_to(app: typer.Typer) -> None:
    """Commands without a group."""
    app.command()(repair)
    app.command()(health)
    app.command()(check)


def repair(context: typer.Context, account: str = typer.Argument(""), json: bool = JSON) -> None:
    """Compare index and Maildir, mend, report; one account or all.

    Example: mailstack repair alice@example.org
    """
    report = follow(invocation(context), "repair.begin", account=account or None)
    if json:
        print(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        return
    for address, lines in report.items():
        print(address)
        for line in lines:
            print(f"  {line}")


def health(context: typer.Context) -> None:
    """Exit 0 when the running server answers on every configured listener.

    Example: mailstack health && echo fine
    """
    config = invocation(context).config()
    doors = [(name, *place) for name, text in config.listeners() for place in hosts(text)]
    answers = [(door, greets(*door, proxied=door[0] in config.proxy.listeners)) for door in doors]
    problems = [f"{name} {host} port {port}: {problem}" for (name, host, port), problem in answers if problem]
    if problems:
        fail("\n".join(problems))
    print(f"all {len(doors)} listeners answer")


def check(
    context: typer.Context,
    outside: bool = OUTSIDE,
    bundle: str = BUNDLE,
    log: str = LOG,
    json: bool = JSON,
) -> None:
    """Look at configuration, ports, certificates, disk, machine, queue, backups and DNS: what is, what follows, what to do.

    Example: mailstack check
    """
    one = invocation(context)
    rows = _examined(one, outside)
    if bundle:
        write_bundle(one, rows, Path(bundle), log)
        return
    if json:
        show(rows, True, [])
    else:
        print_rows(rows)
    sys.stdout.flush()
    if worst(rows) == "bad":
        raise typer.Exit(1)


def _examined(one: Invocation, outside: bool) -> list[dict[str, Any]]:
    """By the running server, or on the data; where there is none yet, only what can be seen without."""
    from mailstack.cli.checking import without_data

    with Console(stderr=True).status("Looking …"):
        if one.config().data.exists():
            rows: list[dict[str, Any]] = one.run("check", outside=outside)
            return rows
        return without_data(one.config(), outside)
