"""user deleted: what was deleted, and is kept for a while."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import show, when
from mailstack.control.story import clean

deleted = typer.Typer(no_args_is_help=True, help="Deleted messages, which are kept for a while (store.keep_deleted).")
MAILBOX = typer.Option("", help="only what was in this one")
IDS = typer.Argument(None, help="as the listing shows them")
ALL = typer.Option(False, "--all", help="all of them")


@deleted.command("list")
def deleted_list(
    context: typer.Context,
    address: str,
    mailbox: str = MAILBOX,
    limit: int = typer.Option(0, help="rows; else 200"),
    json: bool = JSON,
) -> None:
    """List what an account deleted, the last first.

    Example: mailstack user deleted list alice@example.org
    """
    rows = invocation(context).run("deleted.list", account=address, mailbox=mailbox, limit=limit)
    if not json:
        rows = [
            {**row, "deleted": when(row["deleted"]), "from": clean(row["from"]), "subject": clean(row["subject"])}
            for row in rows
        ]
    show(rows, json, ["id", "deleted", "mailbox", "size", "from", "subject"])


@deleted.command("restore")
def deleted_restore(
    context: typer.Context, address: str, ids: list[str] = IDS, mailbox: str = MAILBOX, all: bool = ALL
) -> None:
    """Bring messages back into the mailboxes that they were in.

    Example: mailstack user deleted restore alice@example.org 613214432.17
    """
    done = invocation(context).run("deleted.restore", account=address, ids=ids or [], mailbox=mailbox, all=all)
    for name, count in done["mailboxes"].items():
        print(f"{name}: {count} back")


@deleted.command("purge")
def deleted_purge(context: typer.Context, address: str, ids: list[str] = IDS, mailbox: str = MAILBOX, all: bool = ALL) -> None:
    """Remove deleted messages for good, now.

    Example: mailstack user deleted purge alice@example.org --all
    """
    done = invocation(context).run("deleted.purge", account=address, ids=ids or [], mailbox=mailbox, all=all)
    print(f"{done['purged']} gone for good.")
