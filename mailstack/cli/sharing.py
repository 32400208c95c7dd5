"""acl: to whom mailboxes are open."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import show

acl = typer.Typer(no_args_is_help=True, help="Mailboxes that are open to other accounts.")


@acl.command("list")
def acl_list(context: typer.Context, address: str, mailbox: str = typer.Argument(""), json: bool = JSON) -> None:
    """List to whom an account's mailboxes are open.

    Example: mailstack acl list alice@example.org
    """
    rows = invocation(context).run("acl.list", address=address, mailbox=mailbox or None)
    show(rows, json, ["mailbox", "who", "rights"])


@acl.command("set")
def acl_set(context: typer.Context, address: str, mailbox: str, who: str, rights: str) -> None:
    """Open a mailbox to an account, or to anyone: rights are letters as in RFC 4314, with + to add some.

    Example: mailstack acl set alice@example.org INBOX bob@example.org lrs
    """
    invocation(context).run("acl.set", address=address, mailbox=mailbox, who=who, rights=rights)


@acl.command("remove")
def acl_remove(context: typer.Context, address: str, mailbox: str, who: str) -> None:
    """Close a mailbox to an account, or to anyone.

    Example: mailstack acl remove alice@example.org INBOX bob@example.org
    """
    invocation(context).run("acl.remove", address=address, mailbox=mailbox, who=who)
