"""user usage, user logins."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import octets, show, when


def usage(context: typer.Context, address: str, json: bool = JSON) -> None:
    """Show how much is in each mailbox of an account.

    Example: mailstack user usage alice@example.org
    """
    found = invocation(context).run("user.usage", address=address)
    show(found["mailboxes"] if not json else [found], json, ["mailbox", "messages", "unseen", "octets"])
    if not json:
        quota = f" of {octets(found['quota'])}" if found["quota"] is not None else ""
        print(f"\n{found['messages']} messages, {found['octets']} octets{quota}")


def logins(context: typer.Context, address: str, json: bool = JSON) -> None:
    """Show from where an account was logged in to, by which protocol and program, the last first.

    Example: mailstack user logins alice@example.org
    """
    rows = invocation(context).run("user.logins", address=address)
    if not json:
        rows = [
            {
                **row,
                "first": when(row["first"]),
                "last": when(row["last"]),
                "device": row["device"] or None,
                "client": row["client"] or None,
            }
            for row in rows
        ]
    show(rows, json, ["last", "protocol", "peer", "device", "client", "first"])
