"""api-token and webhook: for programs that send by HTTP, and that are told what became of it."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import show, when

api_token = typer.Typer(no_args_is_help=True, help="Tokens of the HTTP API (/api/v1/openapi.json describes it).")
webhook = typer.Typer(no_args_is_help=True, help="URLs that are told what became of messages.")
ACCOUNT = typer.Option("", help="the account in whose name it sends, and of whose messages it may know")
ADMIN = typer.Option(False, "--admin", help="it may do everything: accounts, aliases, domains, the queue")
EVENT = typer.Option(
    [], "--event", help="message.received, message.delivered, message.deferred, message.bounced, server.alarm; empty: all"
)


@api_token.command("add")
def token_add(context: typer.Context, label: str, account: str = ACCOUNT, admin: bool = ADMIN, json: bool = JSON) -> None:
    """Make a token, shown once.

    Example: mailstack api-token add shop --account shop@example.org
    """
    made = invocation(context).run("api-token.add", label=label, account=account or None, admin=admin)
    if json:
        show([made], True, [])
    else:
        print(made["token"])


@api_token.command("list")
def token_list(context: typer.Context, json: bool = JSON) -> None:
    """List tokens: in whose name they act, and when they were used last, from where.

    Example: mailstack api-token list
    """
    rows = invocation(context).run("api-token.list")
    if not json:
        for row in rows:
            row["account"] = row["account"] or "(admin)"
            row["created"] = when(row["created"])
            row["last_used"] = when(row["last_used"]) if row["last_used"] is not None else None
    show(rows, json, ["label", "account", "created", "last_used", "last_peer"])


@api_token.command("remove")
def token_remove(context: typer.Context, label: str) -> None:
    """Revoke a token.

    Example: mailstack api-token remove shop
    """
    invocation(context).run("api-token.remove", label=label)
    print(f"{label} is void.")


@webhook.command("add")
def webhook_add(
    context: typer.Context,
    url: str,
    event: list[str] = EVENT,
    account: str = typer.Option("", help="only what concerns this account; empty: all"),
    json: bool = JSON,
) -> None:
    """Tell a URL of events; the secret that signs them is shown once.

    Example: mailstack webhook add https://shop.example.org/mail --event message.bounced --account shop@example.org
    """
    made = invocation(context).run("webhook.add", url=url, events=event or None, account=account or None)
    if json:
        show([made], True, [])
    else:
        print(f"{made['id']} is told of {', '.join(made['events'])}.\nSecret, shown this once: {made['secret']}")
        print(f"Try it: mailstack webhook test {made['id']}")


@webhook.command("list")
def webhook_list(context: typer.Context, json: bool = JSON) -> None:
    """List them: what they are told, how much waits, and why the last attempt failed.

    Example: mailstack webhook list
    """
    rows = invocation(context).run("webhook.list")
    if not json:
        for row in rows:
            row["events"], row["account"] = ", ".join(row["events"]), row["account"] or "(all)"
    show(rows, json, ["id", "url", "events", "account", "waiting", "problem"])


@webhook.command("remove")
def webhook_remove(context: typer.Context, id: str) -> None:
    """Tell it nothing more; what waits is dropped.

    Example: mailstack webhook remove 5f1c2a9b
    """
    invocation(context).run("webhook.remove", id=id)
    print(f"{id} is gone.")


@webhook.command("test")
def webhook_test(context: typer.Context, id: str) -> None:
    """Send it an event of the type "test" now; exit 1 says why it was not taken.

    Example: mailstack webhook test 5f1c2a9b
    """
    invocation(context).run("webhook.test", id=id)
    print(f"{id} took it.")
