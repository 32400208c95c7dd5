"""`mailstack [-c FILE] COMMAND`."""

import typer

from mailstack import __version__
from mailstack.cli import (
    accounts,
    api,
    backups,
    bans,
    certificates,
    console,
    deleted,
    devices,
    dkim,
    dns,
    explaining,
    gateways,
    going_public,
    importing,
    lists,
    moving,
    operate,
    pulling,
    rejects,
    reports,
    rules,
    sending,
    setting_up,
    sharing,
    sieve,
    smarthost,
    spam,
    start,
    takeout,
    tls,
    upgrade,
    usage,
)
from mailstack.cli.invocation import Invocation
from mailstack.cli.proxies.commands import connections, proxy

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="A mail server in one process: SMTP in and out, submission, a relay queue and IMAP over a Maildir.",
    pretty_exceptions_enable=False,
)
app.add_typer(accounts.domain, name="domain")
app.add_typer(accounts.user, name="user")
accounts.user.add_typer(deleted.deleted, name="deleted")
accounts.user.add_typer(devices.app_password, name="app-password")
accounts.user.add_typer(setting_up.device, name="device")
accounts.user.add_typer(certificates.certificate, name="certificate")
accounts.user.add_typer(sending.send_as, name="send-as")
accounts.user.command()(rules.vacation)
accounts.user.command()(rules.forward)
accounts.user.command()(takeout.takeout)
accounts.user.command()(usage.usage)
accounts.user.command()(usage.logins)
sieve.sieve.command()(rules.rules)
console.add_to(accounts.user)
lists.add_to(accounts.alias)
app.add_typer(gateways.gateway, name="gateway")
app.add_typer(accounts.alias, name="alias")
app.add_typer(moving.move, name="move")
app.add_typer(bans.ban, name="ban")
app.add_typer(api.api_token, name="api-token")
app.add_typer(api.webhook, name="webhook")
app.add_typer(sharing.acl, name="acl")
app.add_typer(spam.spam, name="spam")
app.add_typer(rejects.rejects, name="rejects")
app.add_typer(sieve.sieve, name="sieve")
app.add_typer(dkim.dkim, name="dkim")
app.add_typer(tls.tls, name="tls")
app.add_typer(reports.reports, name="reports")
app.add_typer(operate.queue, name="queue")
app.add_typer(smarthost.smarthost, name="smarthost")
start.add_to(app)
app.command()(dns.dns)
app.command("go-public")(going_public.go_public)
explaining.add_to(app)
importing.add_to(app)
pulling.add_to(app)
app.command()(setting_up.clients)
app.command()(connections)
app.add_typer(proxy, name="proxy")
operate.add_to(app)
backups.add_to(app)
upgrade.add_to(app)


def _version(value: bool) -> None:
    if value:
        print(f"mailstack {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: str = typer.Option("", "-c", "--config", help="configuration file; else $MAILSTACK_CONFIG, else /etc/mailstack"),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="show the version"),
) -> None:
    context.obj = Invocation(config or None)


def main() -> None:
    """The program's entry."""
    app(prog_name="mailstack")
