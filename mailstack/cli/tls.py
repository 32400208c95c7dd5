"""tls: what is known of the TLS of other domains, and what ours says of itself."""

from typing import Any

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import show, when
from mailstack.records.record import Record

tls = typer.Typer(no_args_is_help=True, help="TLS: this server's certificates, and what is known of other hosts.")


@tls.command("list")
def tls_list(context: typer.Context, json: bool = JSON) -> None:
    """List the domains whose TLS is known: the best level so far, when it was seen, and their MTA-STS policy.

    Example: mailstack tls list
    """
    rows = invocation(context).run("tls.list")
    if not json:
        moments = ("seen", "expires")
        rows = [{**row, **{key: when(row[key]) if row[key] else None for key in moments}} for row in rows]
    show(rows, json, ["domain", "level", "seen", "mta_sts", "hosts", "expires"])


@tls.command("forget")
def tls_forget(context: typer.Context, domain: str) -> None:
    """Forget what is known of a domain's TLS, so that it may be less safe than it was.

    Example: mailstack tls forget example.net
    """
    invocation(context).run("tls.forget", domain=domain)


@tls.command("record")
def tls_record(context: typer.Context) -> None:
    """Show the TLSA records of this server's keys, for a zone that is signed with DNSSEC (DANE).

    The second one, where there is one, is of the key that the next certificate will have: publish both.

    Example: mailstack tls record
    """
    found = invocation(context).run("tls.record")
    for value in found["values"]:
        print(Record(f"_25._tcp.{found['host']}", "TLSA", value))


@tls.command("served")
def tls_served(context: typer.Context, json: bool = JSON) -> None:
    """Shake hands with the running server on every port and for every name, and show which certificates it serves.

    Exit 1 when one is not what it should be.

    Example: mailstack tls served
    """
    rows = invocation(context).run("tls.served")
    wrong = [row for row in rows if row["state"] != "right"]
    if not json:
        rows = [{**row, "not_after": when(row["not_after"]) if row["not_after"] else None} for row in rows]
    show(rows, json, ["listener", "name", "names", "issuer", "not_after", "days", "state", "problem"])
    if wrong:
        raise typer.Exit(1)


@tls.command("status")
def tls_status(context: typer.Context, json: bool = JSON) -> None:
    """Show the names for which this server asks an authority (tls.mode = "acme"), and what came of it.

    Example: mailstack tls status
    """
    _status(invocation(context).run("tls.status"), json)


@tls.command("renew")
def tls_renew(context: typer.Context, name: str = typer.Argument("", help="one name; else all"), json: bool = JSON) -> None:
    """Ask the authority for new certificates now, whatever is due. Authorities limit how often.

    Example: mailstack tls renew mail.example.org
    """
    rows = invocation(context).run("tls.renew", host=name)
    asked = [row for row in rows if not name or name in (row["name"], row["certificate"])]
    _status(asked, json)
    if not asked or any(row["state"] in ("waits", "refused") or row.get("failures") for row in asked):
        raise typer.Exit(1)


def _status(rows: list[dict[str, Any]], json: bool) -> None:
    if not json:
        moments = ("not_after", "renew_at", "next_attempt")
        rows = [{**row, **{key: when(row[key]) if row.get(key) else None for key in moments}} for row in rows]
    show(rows, json, ["name", "state", "certificate", "not_after", "renew_at", "next_attempt", "problem"])


@tls.command("ca")
def tls_ca(context: typer.Context) -> None:
    """Print the certificate of this server's own authority: who trusts it is asked nothing more (tls.mode = "self-signed").

    Example: mailstack tls ca > mailstack-ca.pem
    """
    print(invocation(context).run("tls.ca")["pem"], end="")
