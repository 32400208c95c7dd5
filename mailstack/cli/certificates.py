"""user certificate: TLS certificates of clients, instead of passwords."""

from pathlib import Path

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import fail, show, when

certificate = typer.Typer(no_args_is_help=True, help="TLS certificates of clients, by which they log in without a password.")


@certificate.command("add")
def certificate_add(context: typer.Context, address: str, label: str, file: Path) -> None:
    """Bind a certificate (PEM) to an account: whoever has its key may log in. auth.client_certificates must be on.

    Example: mailstack user certificate add alice@example.org laptop laptop.pem
    """
    try:
        pem = file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as problem:
        fail(f"{file}: {problem.strerror if isinstance(problem, OSError) else 'no certificate in PEM form'}", 2)
    bound = invocation(context).run("user.certificate.add", address=address, label=label, pem=pem)
    print(f"{bound['fingerprint']} ({bound['subject']}) is bound to {bound['address']}.")


@certificate.command("list")
def certificate_list(context: typer.Context, address: str, json: bool = JSON) -> None:
    """List the certificates that are bound to an account.

    Example: mailstack user certificate list alice@example.org
    """
    rows = invocation(context).run("user.certificate.list", address=address)
    rows = rows if json else [{**row, "created": when(row["created"])} for row in rows]
    show(rows, json, ["label", "subject", "created", "fingerprint"])


@certificate.command("remove")
def certificate_remove(context: typer.Context, address: str, label: str) -> None:
    """Take a certificate away from an account; live sessions end.

    Example: mailstack user certificate remove alice@example.org laptop
    """
    invocation(context).run("user.certificate.remove", address=address, label=label)
