"""gateway: domains whose mail is passed on."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import fail, show

gateway = typer.Typer(no_args_is_help=True, help="Domains whose mail is judged here and passed on to another server.")
TO = typer.Argument("", help="the server inside: host or host:port")
ADD = typer.Option([], "--add", help="an address; may be given again")
REMOVE = typer.Option([], "--remove", help="an address; may be given again")


@gateway.command("add")
def gateway_add(
    context: typer.Context,
    domain: str,
    to: str = TO,
    backup: bool = typer.Option(False, "--backup", help="no server inside: pass it on to the better of the domain's MX hosts"),
    recipients: str = typer.Option("ask", "--recipients", help="ask the server for each, list (named here) or any"),
) -> None:
    """Take mail for a domain and pass it on; given again, it is changed.

    Example: mailstack gateway add example.net mail.inside.example:25
    """
    if bool(to) is backup:
        fail("name the server inside, or say --backup", 2)
    invocation(context).run("gateway.add", domain=domain, to=to or None, recipients=recipients)


@gateway.command("list")
def gateway_list(context: typer.Context, json: bool = JSON) -> None:
    """List them; without a server it is a backup.

    Example: mailstack gateway list
    """
    show(invocation(context).run("gateway.list"), json, ["domain", "to", "recipients"])


@gateway.command("remove")
def gateway_remove(context: typer.Context, domain: str) -> None:
    """Take no more mail for a domain. What is in the queue still goes out, by its MX.

    Example: mailstack gateway remove example.net
    """
    invocation(context).run("gateway.remove", domain=domain)


@gateway.command("recipients")
def gateway_recipients(
    context: typer.Context, domain: str, add: list[str] = ADD, remove: list[str] = REMOVE, json: bool = JSON
) -> None:
    """Name the recipients of a domain, for --recipients list; shows those that are named.

    Example: mailstack gateway recipients example.net --add alice@example.net
    """
    show(invocation(context).run("gateway.recipients", domain=domain, add=add, remove=remove), json, ["address"])
