"""tls: what is known of the TLS of other domains, and what ours says of itself."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import fail, show, when
from mailstack.cli.records import Record, tlsa

tls = typer.Typer(no_args_is_help=True, help="TLS with other hosts: levels, policies, our own record.")


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
    """Show the TLSA record of this server's certificate, for a zone that is signed with DNSSEC (DANE).

    Example: mailstack tls record
    """
    config = invocation(context).config()
    path = config.tls.certificate if config.tls.mode == "files" else str(config.data / "tls" / "self-signed.pem")
    try:
        value = tlsa(path)
    except (OSError, ValueError) as problem:
        fail(f"{path}: {problem}")
    print(Record(f"_25._tcp.{config.hostname}", "TLSA", value))
