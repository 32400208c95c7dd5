"""reports: what others saw of our mail and of our TLS."""

import base64
import sys
from pathlib import Path
from typing import Any

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import fail, show, when

reports = typer.Typer(no_args_is_help=True, help="What others report: mail in our names (DMARC), TLS with our hosts (TLSRPT).")
DOMAIN = typer.Argument("", help="empty: all domains")
DAYS = typer.Option(30, min=1, max=400, help="how far back")


@reports.command("dmarc")
def reports_dmarc(context: typer.Context, domain: str = DOMAIN, days: int = DAYS, json: bool = JSON) -> None:
    """Who sent mail in the name of our domains, from where, and whether it passed.

    Example: mailstack reports dmarc example.org
    """
    _summary(context, "dmarc", domain, days, json)


@reports.command("tls")
def reports_tls(context: typer.Context, domain: str = DOMAIN, days: int = DAYS, json: bool = JSON) -> None:
    """How connections to our mail hosts went, as those saw it who made them.

    Example: mailstack reports tls example.org
    """
    _summary(context, "tls", domain, days, json)


def _summary(context: typer.Context, kind: str, domain: str, days: int, json: bool) -> None:
    rows: list[dict[str, Any]] = invocation(context).run("reports.summary", kind=kind, domain=domain or None, days=days)
    if not json:
        rows = [{**row, "proved": bool(row["proved"]), "last": when(row["last"])} for row in rows]
    show(rows, json, ["domain", "source", "count", "good", "result", "detail", "reporters", "last", "proved"])


@reports.command("list")
def reports_list(context: typer.Context, days: int = DAYS, json: bool = JSON) -> None:
    """List the reports themselves; proved: the mail that brought it was its sender's.

    Example: mailstack reports list --days 7
    """
    rows: list[dict[str, Any]] = invocation(context).run("reports.list", days=days)
    if not json:
        rows = [{**row, "begin": when(row["begin"]), "proved": bool(row["proved"])} for row in rows]
    show(rows, json, ["kind", "organisation", "domains", "begin", "count", "proved", "id"])


@reports.command("add")
def reports_add(context: typer.Context, file: str) -> None:
    """Take a report from a file: XML, JSON, gzip, zip or a whole message; - is standard input.

    Example: mailstack reports add report.xml.gz
    """
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as problem:
        fail(f"{file}: {problem.strerror}", 2)
    added = invocation(context).run("reports.add", file=file, data=base64.b64encode(data).decode())
    print("taken" if added["new"] else "it was known already, or is about none of the domains here")
