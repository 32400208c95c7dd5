"""domain, user, alias."""

from pathlib import Path

import typer

from mailstack.cli.account_lists import read_accounts
from mailstack.cli.invocation import Invocation, octets, read_password, show
from mailstack.records.record import Record

domain = typer.Typer(no_args_is_help=True, help="Domains whose mail is here.")
user = typer.Typer(no_args_is_help=True, help="Accounts.")
alias = typer.Typer(no_args_is_help=True, help="Addresses that lead to others; @domain is the catch-all.")

JSON = typer.Option(False, "--json", help="for programs")
HIDE = typer.Option([], "--hide", help="announce it no more; may be given again")
SHOW = typer.Option([], "--show", help="announce it; may be given again")
STDIN = typer.Option(False, "--password-stdin", help="read the password from standard input")


@domain.command("add")
def domain_add(context: typer.Context, name: str) -> None:
    """Add a domain and make its DKIM keys.

    Example: mailstack domain add example.org
    """
    added = invocation(context).run("domain.add", domain=name)
    print(f"{added['domain']} added. Publish these records:")
    show_records(invocation(context), added["domain"])


@domain.command("records")
def domain_records(context: typer.Context, name: str, json: bool = JSON) -> None:
    """Show the DNS records that a domain needs.

    Example: mailstack domain records example.org
    """
    if json:
        show(invocation(context).run("dns.records", domain=name), True, [])
        return
    show_records(invocation(context), name)


def show_records(one: Invocation, domain: str) -> None:
    """As lines of a zone file."""
    for row in one.run("dns.records", domain=domain):
        print(f"  {Record(**row)}")


@domain.command("list")
def domain_list(context: typer.Context, json: bool = JSON) -> None:
    """List the domains.

    Example: mailstack domain list --json
    """
    show(invocation(context).run("domain.list"), json, ["domain"])


@domain.command("remove")
def domain_remove(context: typer.Context, name: str) -> None:
    """Remove a domain that has no accounts.

    Example: mailstack domain remove example.org
    """
    invocation(context).run("domain.remove", domain=name)


@user.command("add")
def user_add(
    context: typer.Context,
    address: str,
    password_stdin: bool = STDIN,
    quota: str = typer.Option("", help="like 5GiB; empty: none"),
) -> None:
    """Add an account.

    Example: mailstack user add alice@example.org --quota 5GiB
    """
    password = read_password(password_stdin)
    added = invocation(context).run("user.add", address=address, password=password, quota=quota or None)
    print(f"{added['address']} added.")
    if added["password"]:
        print(f"Password, shown this once: {added['password']}")


@user.command("list")
def user_list(context: typer.Context, json: bool = JSON) -> None:
    """List the accounts.

    Example: mailstack user list
    """
    rows = invocation(context).run("user.list")
    if not json:
        rows = [{**row, "quota": octets(row["quota"]) if row["quota"] is not None else None} for row in rows]
    show(rows, json, ["address", "quota", "disabled", "admin"])


@user.command("passwd")
def user_passwd(context: typer.Context, address: str, password_stdin: bool = STDIN) -> None:
    """Set a new password; live sessions end.

    Example: mailstack user passwd alice@example.org
    """
    changed = invocation(context).run("user.passwd", address=address, password=read_password(password_stdin))
    if changed["password"]:
        print(f"Password, shown this once: {changed['password']}")


@user.command("quota")
def user_quota(context: typer.Context, address: str, quota: str) -> None:
    """Set the quota, or take it away with "none".

    Example: mailstack user quota alice@example.org 10GiB
    """
    invocation(context).run("user.quota", address=address, quota=quota)


@user.command("capability")
def user_capability(
    context: typer.Context,
    address: str,
    hide: list[str] = HIDE,
    shown: list[str] = SHOW,
    reset: bool = typer.Option(False, "--reset", help="all as it was"),
    json: bool = JSON,
) -> None:
    """Hide IMAP capabilities from an account's clients, or show them; it holds from the next login on.

    Example: mailstack user capability alice@example.org --hide QRESYNC
    """
    rows = invocation(context).run("user.capability", address=address, hide=hide, show=shown, reset=reset)
    show(rows, json, ["capability", "announced"])


@user.command("disable")
def user_disable(context: typer.Context, address: str) -> None:
    """Switch an account off: no login, no mail; live sessions end.

    Example: mailstack user disable alice@example.org
    """
    invocation(context).run("user.disable", address=address)


@user.command("enable")
def user_enable(context: typer.Context, address: str) -> None:
    """Switch an account on again.

    Example: mailstack user enable alice@example.org
    """
    invocation(context).run("user.enable", address=address)


@user.command("rename")
def user_rename(
    context: typer.Context,
    address: str,
    to: str,
    drop: bool = typer.Option(False, "--drop", help="the old address ends; else it stays as an alias"),
) -> None:
    """Give an account another address: its mail, password and devices stay, and mail for the old one still comes.

    Example: mailstack user rename alice@example.org alice.smith@example.org
    """
    done = invocation(context).run("user.rename", address=address, to=to, keep=not drop)
    print(f"{address} is {done['address']} now; it logs in by this address.")


@user.command("remove")
def user_remove(context: typer.Context, address: str) -> None:
    """Remove an account. Its mail stays on disk until you remove the folder.

    Example: mailstack user remove alice@example.org
    """
    removed = invocation(context).run("user.remove", address=address)
    print(f"{address} removed. Its mail is still in {removed['folder']}")


@user.command("undelete")
def user_undelete(
    context: typer.Context,
    address: str,
    password_stdin: bool = STDIN,
    folder: str = typer.Option("", help="which, where it was removed more than once"),
) -> None:
    """Bring back an account that was removed, with its mail and a new password; what it shared, and its devices, are not back.

    Example: mailstack user undelete alice@example.org
    """
    back = invocation(context).run("user.undelete", address=address, folder=folder, password=read_password(password_stdin))
    print(f"{back['address']} is back, with {back['messages']} messages.")
    if back["password"]:
        print(f"Password, shown this once: {back['password']}")


@user.command("import")
def user_import(
    context: typer.Context,
    file: Path,
    domain: str = typer.Option("", help="of names without one, as in /etc/shadow"),
    add_domains: bool = typer.Option(False, "--add-domains", help="those that are not here yet, with their DKIM keys"),
) -> None:
    """Add many accounts with their passwords: Dovecot's passwd-file, or CSV with address,password,hash,quota; all or nothing.

    Example: mailstack user import /etc/dovecot/users --add-domains
    """
    rows, locked = read_accounts(file, domain)
    one = invocation(context)
    if add_domains:
        here = {row["domain"] for row in one.run("domain.list")}
        for name in sorted({str(row["address"]).rpartition("@")[2].lower() for row in rows} - here - {""}):
            print(f"{one.run('domain.add', domain=name)['domain']} added; its records: mailstack dns {name}")
    imported = one.run("user.import", rows=rows)
    print(f"{imported['imported']} accounts added.")
    if locked:
        print(f"Left out, as they have no password there: {', '.join(locked)}")


@alias.command("add")
def alias_add(context: typer.Context, address: str, targets: list[str]) -> None:
    """Let an address lead to others, here or elsewhere.

    Example: mailstack alias add info@example.org alice@example.org bob@elsewhere.net
    """
    invocation(context).run("alias.add", address=address, targets=targets)


@alias.command("list")
def alias_list(context: typer.Context, json: bool = JSON) -> None:
    """List the aliases.

    Example: mailstack alias list
    """
    show(invocation(context).run("alias.list"), json, ["source", "target"])


@alias.command("remove")
def alias_remove(context: typer.Context, address: str, target: str = typer.Argument("")) -> None:
    """Remove an alias, or one of its targets.

    Example: mailstack alias remove info@example.org
    """
    invocation(context).run("alias.remove", address=address, target=target or None)


def invocation(context: typer.Context) -> Invocation:
    found = context.obj
    assert isinstance(found, Invocation)
    return found
