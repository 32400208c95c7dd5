"""user show, limit, stop, release, send-as; domain limit: what accounts may send."""

from typing import Any

import orjson
import typer

from mailstack.cli.accounts import JSON, domain, invocation, user
from mailstack.cli.invocation import octets, show, when

send_as = typer.Typer(no_args_is_help=True, help="As whom an account may send, beside its own addresses.")

_HOW = 'a number, "none", or "default": what the settings say'
HOUR = typer.Option("", "--messages-per-hour", help=_HOW)
DAY = typer.Option("", "--messages-per-day", help=_HOW)
FRESH = typer.Option("", "--new-recipients-per-day", help=_HOW)
RECIPIENTS = typer.Option("", "--recipients", help=f"of one message; {_HOW}")
RESET = typer.Option(False, "--reset", help="no exceptions")


@user.command("show")
def user_show(context: typer.Context, address: str, json: bool = JSON) -> None:
    """Show an account: whether it may send, what it sent, and what it may.

    Example: mailstack user show alice@example.org
    """
    found = invocation(context).run("user.show", address=address)
    if json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    quota = octets(found["quota"]) if found["quota"] is not None else "no quota"
    print(f"{found['address']}: {'switched off' if found['disabled'] else 'active'}, {quota}")
    if found["stopped"] is not None:
        print(f"Sending is stopped since {when(found['stopped']['since'])}: {found['stopped']['text']}")
        print(f"To let it go on: mailstack user release {found['address']}")
    if found["send_as"]:
        print(f"May send as: {', '.join(found['send_as'])}")
    print()
    _show_limits(found["sending"])
    print(f"\nAll of {found['address'].rpartition('@')[2]}:")
    _show_limits(found["domain"])


def _show_limits(rows: list[dict[str, Any]]) -> None:
    shown = [
        {**row, "what": row["what"].replace("_", " "), "limit": row["limit"] if row["limit"] is not None else "none"}
        for row in rows
    ]
    show(shown, False, ["what", "sent", "limit", "exception"])


@user.command("limit")
def user_limit(
    context: typer.Context,
    address: str,
    messages_per_hour: str = HOUR,
    messages_per_day: str = DAY,
    new_recipients_per_day: str = FRESH,
    recipients: str = RECIPIENTS,
    reset: bool = RESET,
    json: bool = JSON,
) -> None:
    """Make exceptions from the sending limits for an account, and show what holds.

    Example: mailstack user limit news@example.org --messages-per-hour 2000 --new-recipients-per-day none
    """
    limits = {
        "messages_per_hour": messages_per_hour,
        "messages_per_day": messages_per_day,
        "new_recipients_per_day": new_recipients_per_day,
        "recipients": recipients,
    }
    rows = invocation(context).run("user.limit", address=address, reset=reset, **limits)
    show(rows, True, []) if json else _show_limits(rows)


@domain.command("limit")
def domain_limit(
    context: typer.Context,
    name: str,
    messages_per_hour: str = HOUR,
    messages_per_day: str = DAY,
    new_recipients_per_day: str = FRESH,
    reset: bool = RESET,
    json: bool = JSON,
) -> None:
    """Make exceptions from the sending limits for all accounts of a domain together, and show what holds.

    Example: mailstack domain limit example.org --messages-per-day 20000
    """
    limits = {
        "messages_per_hour": messages_per_hour,
        "messages_per_day": messages_per_day,
        "new_recipients_per_day": new_recipients_per_day,
    }
    rows = invocation(context).run("domain.limit", domain=name, reset=reset, **limits)
    show(rows, True, []) if json else _show_limits(rows)


@user.command("stop")
def user_stop(context: typer.Context, address: str, reason: str = typer.Option("", help="told to whoever sends")) -> None:
    """Let an account send nothing more, and hold what it has in the queue; it can read and receive as before.

    Example: mailstack user stop alice@example.org --reason "your laptop was stolen"
    """
    done = invocation(context).run("user.stop", address=address, reason=reason)
    print(f"{done['address']} sends nothing more; {done['held']} messages wait.")


@user.command("release")
def user_release(
    context: typer.Context, address: str, drop: bool = typer.Option(False, "--drop", help="throw away what waits")
) -> None:
    """Let an account send again that was stopped, and send what waits of it, or throw that away.

    Example: mailstack user release alice@example.org --drop
    """
    done = invocation(context).run("user.release", address=address, drop=drop)
    what = "what waited was thrown away" if done["dropped"] else f"{done['released']} messages are sent now"
    print(f"{done['address']} may send again; {what}.")


@send_as.command("add")
def grant(context: typer.Context, address: str, sender: str) -> None:
    """Let an account send as another address, or as all of a domain (@domain).

    Example: mailstack user send-as add alice@example.org team@example.org
    """
    invocation(context).run("user.send-as.add", address=address, sender=sender)


@send_as.command("list")
def grants(context: typer.Context, address: str, json: bool = JSON) -> None:
    """List what an account was granted to send as.

    Example: mailstack user send-as list alice@example.org
    """
    show(invocation(context).run("user.send-as.list", address=address), json, ["sender"])


@send_as.command("remove")
def revoke(context: typer.Context, address: str, sender: str) -> None:
    """Take a grant back.

    Example: mailstack user send-as remove alice@example.org team@example.org
    """
    invocation(context).run("user.send-as.remove", address=address, sender=sender)
