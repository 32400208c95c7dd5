"""user app-password: passwords for single devices."""

from typing import Any

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import show, when

app_password = typer.Typer(no_args_is_help=True, help="Passwords for single devices.")
SCOPE = typer.Option("all", help="all; send (SMTP); read (IMAP and POP3, changing nothing); imap, pop3, smtp, managesieve")
EXPIRES = typer.Option("", help="like 90d, or the last day like 2027-01-31; empty: never")


@app_password.command("add")
def app_add(
    context: typer.Context, address: str, label: str, scope: str = SCOPE, expires: str = EXPIRES, json: bool = JSON
) -> None:
    """Make a password for one device, shown once.

    Example: mailstack user app-password add alice@example.org printer --scope send --expires 365d
    """
    made = invocation(context).run("user.app-password.add", address=address, label=label, scope=scope, expires=expires or None)
    if json:
        show([made], True, [])
    else:
        print(made["password"])


@app_password.command("list")
def app_list(context: typer.Context, address: str, json: bool = JSON) -> None:
    """List an account's app passwords: what they are good for, and when they were used last, from where, by what.

    Example: mailstack user app-password list alice@example.org
    """
    rows = invocation(context).run("user.app-password.list", address=address)
    columns = ["label", "scope", "created", "expires", "last_used", "last_peer", "last_client"]
    show(rows if json else [_shown(row) for row in rows], json, columns)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    moments = {name: when(row[name]) if row[name] is not None else None for name in ("created", "expires", "last_used")}
    if row["expired"]:
        moments["expires"] = f"{moments['expires']} (over)"
    return {**row, **moments, "last_peer": row["last_peer"] or None, "last_client": row["last_client"] or None}


@app_password.command("remove")
def app_remove(context: typer.Context, address: str, label: str) -> None:
    """Revoke one; live sessions end.

    Example: mailstack user app-password remove alice@example.org phone
    """
    invocation(context).run("user.app-password.remove", address=address, label=label)
