"""ban: addresses and networks from which nobody may log in."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import show, when

ban = typer.Typer(no_args_is_help=True, help="Addresses and networks from which nobody may log in.")


@ban.command("list")
def ban_list(context: typer.Context, json: bool = JSON) -> None:
    """List the bans that hold now.

    Example: mailstack ban list
    """
    rows = invocation(context).run("ban.list")
    if not json:
        rows = [
            {**row, "since": when(row["since"]), "until": when(row["until"]) if row["until"] is not None else "lifted"}
            for row in rows
        ]
    show(rows, json, ["network", "since", "until", "again", "failures", "reason"])


@ban.command("add")
def ban_add(
    context: typer.Context,
    network: str,
    seconds: str = typer.Option("", "--for", help="like 1d; empty: until it is lifted"),
    reason: str = typer.Option("", help="for the list"),
) -> None:
    """Ban an address or a network.

    Example: mailstack ban add 192.0.2.0/24 --for 1d
    """
    row = invocation(context).run("ban.add", network=network, seconds=seconds or None, reason=reason)
    print(f"{row['network']} is banned until {'it is lifted' if row['until'] is None else when(row['until'])}.")


@ban.command("remove")
def ban_remove(context: typer.Context, network: str) -> None:
    """Lift what bans an address, or any part of a network.

    Example: mailstack ban remove 192.0.2.7
    """
    for row in invocation(context).run("ban.remove", network=network):
        print(f"{row['network']} is banned no more.")
