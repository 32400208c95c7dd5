"""alias set, alias unset, alias lists: aliases as mailing lists."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import show

POST = typer.Option(None, "--post", help="who may write to it: anyone, members, domain (its accounts) or named (only posters)")
POSTER = typer.Option(None, "--poster", help="an address that may write besides; may be given again")
NAME = typer.Option(None, "--name", help="what List-Id shows")
OWNER = typer.Option(None, "--owner", help="who hears of bounces; empty: postmaster")
UNSUBSCRIBE = typer.Option(None, "--unsubscribe", help="an URL where one leaves it: https: or mailto:")


def alias_set(
    context: typer.Context,
    address: str,
    post: str = POST,
    posters: list[str] = POSTER,
    name: str = NAME,
    owner: str = OWNER,
    unsubscribe: str = UNSUBSCRIBE,
) -> None:
    """Make a mailing list of an alias: who may write to it, list fields, bounces to its owner.

    Example: mailstack alias set friends@example.org --post members --name "Friends" --owner alice@example.org
    """
    invocation(context).run(
        "alias.set", address=address, post=post, posters=posters or None, title=name, owner=owner, unsubscribe=unsubscribe
    )  # fmt: skip


def alias_unset(context: typer.Context, address: str) -> None:
    """Make it a plain alias again.

    Example: mailstack alias unset friends@example.org
    """
    invocation(context).run("alias.unset", address=address)


def alias_lists(context: typer.Context, json: bool = JSON) -> None:
    """List the aliases that are mailing lists.

    Example: mailstack alias lists
    """
    rows = invocation(context).run("alias.lists")
    if not json:
        rows = [{**row, "posters": " ".join(row["posters"]) or None} for row in rows]
    show(rows, json, ["address", "post", "posters", "name", "owner"])


def add_to(alias: typer.Typer) -> None:
    """Beside add, list and remove."""
    for name, command in (("set", alias_set), ("unset", alias_unset), ("lists", alias_lists)):
        alias.command(name)(command)
