"""dkim: keys, and how they are replaced."""

from typing import Any

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import show, when
from mailstack.records.record import Record

dkim = typer.Typer(no_args_is_help=True, help="Keys that sign what leaves, and their rotation.")
DOMAIN = typer.Argument("", help="empty: all domains")


@dkim.command("list")
def dkim_list(context: typer.Context, domain: str = DOMAIN, json: bool = JSON) -> None:
    """List the keys, what they do, and whether the DNS has their records.

    Example: mailstack dkim list example.org
    """
    _show(invocation(context).run("dkim.list", domain=domain or None), json)


@dkim.command("rotate")
def dkim_rotate(context: typer.Context, domain: str, json: bool = JSON) -> None:
    """Make new keys. They sign once their records are seen in the DNS; then the old ones retire.

    Example: mailstack dkim rotate example.org
    """
    rows = invocation(context).run("dkim.rotate", domain=domain)
    if json:
        show(rows, True, [])
        return
    print("Publish these records; the keys sign as soon as the running server sees them:")
    for row in rows:
        if row["state"] == "waiting":
            print(f"  {Record(row['name'], 'TXT', row['value'])}")
    print(f"It looks every ten minutes; at once: mailstack dkim check {domain}")


@dkim.command("check")
def dkim_check(context: typer.Context, domain: str, json: bool = JSON) -> None:
    """Look for the records of keys that wait, and let those sign whose records are there.

    Example: mailstack dkim check example.org
    """
    _show(invocation(context).run("dkim.check", domain=domain), json)


@dkim.command("retire")
def dkim_retire(
    context: typer.Context,
    domain: str,
    selector: str,
    now: bool = typer.Option(False, "--now", help="forget the key at once: others may have got hold of it"),
    json: bool = JSON,
) -> None:
    """Sign no more with a key. Its record must stay until what it signed has arrived, unless it is forgotten at once.

    Example: mailstack dkim retire example.org 2026m01r
    """
    rows = invocation(context).run("dkim.retire", domain=domain, selector=selector, now=now)
    _show(rows, json)
    if now and not json:
        # RFC 6376 3.6.1: an empty p= revokes.
        print(f"Publish now: {Record(f'{selector}._domainkey.{domain}', 'TXT', 'v=DKIM1; p=')}")


def _show(rows: list[dict[str, Any]], json: bool) -> None:
    if not json:
        rows = [{**row, "since": when(row["since"]), "until": when(row["until"]) if row["until"] else None} for row in rows]
    show(rows, json, ["domain", "selector", "algorithm", "state", "since", "until", "dns"])
