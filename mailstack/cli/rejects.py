"""rejects: what was refused at the door and can be seen for some days."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import show, when
from mailstack.control.story import clean

rejects = typer.Typer(no_args_is_help=True, help="Mail that was refused, and copies of which are kept for some days.")
UIDS = typer.Argument(..., metavar="UID...")


@rejects.command("list")
def rejects_list(context: typer.Context, address: str, json: bool = JSON) -> None:
    """List what was refused of an account's mail, the newest first.

    Example: mailstack rejects list alice@example.org
    """
    rows = invocation(context).run("rejects.list", address=address)
    if not json:
        rows = [
            {**row, "time": when(row["time"]), **{name: clean(row[name])[:60] for name in ("from", "subject", "why")}}
            for row in rows
        ]
    show(rows, json, ["uid", "time", "from", "subject", "why"])


@rejects.command("rescue")
def rejects_rescue(context: typer.Context, address: str, uid: list[int] = UIDS) -> None:
    """Move some of them into INBOX; the spam filter learns that they were wanted.

    Example: mailstack rejects rescue alice@example.org 17
    """
    done = invocation(context).run("rejects.rescue", address=address, uids=uid)
    print(f"{done['rescued']} moved to INBOX.")
