"""queue, trace, repair, health, check, config."""

import datetime
import socket
import ssl
import sys
import urllib.request

import orjson
import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import fail, show

queue = typer.Typer(no_args_is_help=True, help="Messages that wait for delivery.")


@queue.command("list")
def queue_list(context: typer.Context, json: bool = JSON) -> None:
    """List what waits.

    Example: mailstack queue list
    """
    rows = invocation(context).run("queue.list")
    if json:
        show(rows, True, [])
        return
    for row in rows:
        row["next"] = _when(row["next_attempt"])
        row["to"] = ", ".join(one["address"] for one in row["recipients"] if not one["done"])
        row["last"] = next((one["reply"] for one in row["recipients"] if one["reply"]), None)
    show(rows, False, ["id", "sender", "to", "size", "attempts", "next", "held", "last"])


def _when(moment: float) -> str:
    if not moment:
        return "now"
    return datetime.datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M:%S")


@queue.command("show")
def queue_show(context: typer.Context, id: str) -> None:
    """Show one message: its recipients, their last replies, its header.

    Example: mailstack queue show 0mb3k2x9a1b2c3d4
    """
    print(orjson.dumps(invocation(context).run("queue.show", id=id), option=orjson.OPT_INDENT_2).decode())


@queue.command("retry")
def queue_retry(context: typer.Context, id: str = typer.Argument("")) -> None:
    """Try one message now, or all.

    Example: mailstack queue retry
    """
    print(f"{invocation(context).run('queue.retry', id=id or None)['retried']} messages will be tried now.")


@queue.command("hold")
def queue_hold(context: typer.Context, id: str) -> None:
    """Keep a message back.

    Example: mailstack queue hold 0mb3k2x9a1b2c3d4
    """
    invocation(context).run("queue.hold", id=id)


@queue.command("release")
def queue_release(context: typer.Context, id: str) -> None:
    """Let a held message go.

    Example: mailstack queue release 0mb3k2x9a1b2c3d4
    """
    invocation(context).run("queue.release", id=id)


@queue.command("drop")
def queue_drop(context: typer.Context, id: str) -> None:
    """Throw a message away; nobody is told.

    Example: mailstack queue drop 0mb3k2x9a1b2c3d4
    """
    invocation(context).run("queue.drop", id=id)


def add_to(app: typer.Typer) -> None:
    """Commands without a group."""
    app.command()(trace)
    app.command()(repair)
    app.command()(health)
    app.command()(check)


def trace(context: typer.Context, text: str, json: bool = JSON) -> None:
    """What became of a message: by its id, its Message-ID, or an address.

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
        words = "  ".join(f"{key}={value}" for key, value in rest.items())
        print(f"  {_when(event['time'])}  {event['event']:<10} {words}")


def repair(context: typer.Context, account: str = typer.Argument("")) -> None:
    """Compare index and Maildir, mend, report; one account or all.

    Example: mailstack repair alice@example.org
    """
    for address, lines in invocation(context).run("repair", account=account or None).items():
        print(address)
        for line in lines:
            print(f"  {line}")


def health(context: typer.Context) -> None:
    """Exit 0 when the running server answers on every configured listener.

    Example: mailstack health && echo fine
    """
    config = invocation(context).config()
    problems = []
    for name in ("smtp", "submission", "submissions", "imap", "imaps", "http"):
        if config.tls.mode == "off" and name in ("submissions", "imaps"):
            continue
        for text in getattr(config.listen, name):
            problem = _greets(name, text)
            if problem:
                problems.append(f"{name} {text}: {problem}")
    if problems:
        fail("\n".join(problems))


def _greets(name: str, text: str) -> str | None:
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    host = {"::": "localhost", "0.0.0.0": "127.0.0.1"}.get(host, host)
    try:
        if name == "http":
            shown = f"[{host}]" if ":" in host else host
            with urllib.request.urlopen(f"http://{shown}:{port}/healthz", timeout=5) as answer:
                return None if answer.status == 200 else f"HTTP {answer.status}"
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            if name in ("submissions", "imaps"):
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                with context.wrap_socket(connection) as secure:
                    greeting = secure.recv(512)
            else:
                greeting = connection.recv(512)
        return None if greeting.startswith((b"220", b"* OK")) else f"said {greeting[:60]!r}"
    except (OSError, ValueError) as problem:
        return str(problem)


def check(context: typer.Context, json: bool = JSON) -> None:
    """Look at configuration, ports, certificate, DNS, clock and disk: what is, and what to do.

    Example: mailstack check
    """
    from mailstack.cli.checking import findings

    rows = findings(invocation(context).config())
    show(rows, json, ["what", "state", "text"])
    sys.stdout.flush()
    if any(row["state"] == "bad" for row in rows):
        raise typer.Exit(1)
