"""user admin, user totp, user sessions: the console's side of an account."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import show, when

OFF = typer.Option(False, "--off", help="not any more")


def add_to(user: typer.Typer) -> None:
    user.command("admin")(user_admin)
    user.command("totp")(user_totp)
    user.command("sessions")(user_sessions)


def user_admin(context: typer.Context, address: str, off: bool = OFF) -> None:
    """Let an account run the server from the console, or no more.

    Example: mailstack user admin alice@example.org
    """
    invocation(context).run("user.admin", address=address, off=off)


def user_totp(
    context: typer.Context,
    address: str,
    off: bool = typer.Option(False, "--off", help="the password alone is enough again: for one whose telephone is gone"),
    json: bool = JSON,
) -> None:
    """Show whether an account logs in with one-time codes, or switch them off.

    Example: mailstack user totp alice@example.org --off
    """
    if off:
        invocation(context).run("user.totp.off", address=address)
        return
    found = invocation(context).run("user.totp.show", address=address)
    row = {**found, "since": when(found["since"]) if found["since"] and not json else found["since"]}
    show([row], json, ["on", "since", "recovery_left"])


def user_sessions(
    context: typer.Context,
    address: str,
    end: bool = typer.Option(False, "--end", help="log all of them out"),
    json: bool = JSON,
) -> None:
    """List the browsers in which an account is logged in, or log them out.

    Example: mailstack user sessions alice@example.org
    """
    one = invocation(context)
    if end:
        print(f"{one.run('user.session.end', address=address)['ended']} logged out.")
        return
    rows = one.run("user.session.list", address=address)
    if not json:
        rows = [{**row, "created": when(row["created"]), "seen": when(row["seen"])} for row in rows]
    show(rows, json, ["created", "seen", "peer", "agent"])
