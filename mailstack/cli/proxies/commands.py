"""proxy: configurations of reverse proxies for this instance, and whether they work; connections."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.invocation import show
from mailstack.cli.proxies.looking import Look
from mailstack.cli.proxies.passages import Plan, plan
from mailstack.cli.proxies.snippets import SNIPPETS, WEB_ONLY
from mailstack.policy.clients import client_settings

proxy = typer.Typer(no_args_is_help=True, help="Reverse proxies in front of this server.")
BACKEND = typer.Option("127.0.0.1", help="where the proxy finds this server")
COMES = typer.Option("127.0.0.1", "--from", help="the address or network from which the proxy comes")


def _plan(context: typer.Context, backend: str, comes: str) -> Plan:
    one = invocation(context)
    config = one.config()
    domains = [row["domain"] for row in one.run("domain.list")]
    return plan(config, client_settings(config), domains, backend, comes)


def _print(context: typer.Context, name: str, backend: str, comes: str) -> None:
    found = _plan(context, backend, comes)
    print("\n".join(SNIPPETS[name](found)))
    print(f"\n# {invocation(context).config_path()} must say this, and the server must be started anew:")
    print("\n".join(found.settings(mail=name not in WEB_ONLY)))
    print("# Then look: mailstack proxy check")


@proxy.command("haproxy")
def proxy_haproxy(context: typer.Context, backend: str = BACKEND, comes: str = COMES) -> None:
    """Print a configuration for HAProxy, and the settings that it needs here.

    Example: mailstack proxy haproxy --backend 10.0.0.2 --from 10.0.0.1
    """
    _print(context, "haproxy", backend, comes)


@proxy.command("nginx")
def proxy_nginx(context: typer.Context, backend: str = BACKEND, comes: str = COMES) -> None:
    """Print a configuration for nginx (stream and http), and the settings that it needs here.

    Example: mailstack proxy nginx
    """
    _print(context, "nginx", backend, comes)


@proxy.command("traefik")
def proxy_traefik(context: typer.Context, backend: str = BACKEND, comes: str = COMES) -> None:
    """Print a configuration for Traefik, and the settings that it needs here.

    Example: mailstack proxy traefik --backend mailstack --from 172.18.0.0/16
    """
    _print(context, "traefik", backend, comes)


@proxy.command("caddy")
def proxy_caddy(context: typer.Context, backend: str = BACKEND, comes: str = COMES) -> None:
    """Print a configuration for Caddy (the web alone), and the settings that it needs here.

    Example: mailstack proxy caddy
    """
    _print(context, "caddy", backend, comes)


@proxy.command("check")
def proxy_check(
    context: typer.Context,
    host: str = typer.Option("", help="the name by which clients come; else hostname"),
    json: bool = JSON,
) -> None:
    """Connect to every port as a client does, and look whether its address arrives here; exit 1 when one does not.

    Example: mailstack proxy check --host mail.example.org
    """
    one = invocation(context)
    config = one.config()
    found = _plan(context, "127.0.0.1", "127.0.0.1")
    rows = Look(config, one.run, host or client_settings(config).host).findings(found)
    show(rows, json, ["what", "state", "text"])
    if any(row["state"] == "bad" for row in rows):
        raise typer.Exit(1)


def connections(context: typer.Context, json: bool = JSON) -> None:
    """List who is connected at the doors for mail; behind a proxy: who that says.

    Example: mailstack connections
    """
    show(invocation(context).run("connections"), json, ["door", "peer", "port", "account"])
