"""user device, clients: mail programs and phones, set up."""

import typer

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.card import card, code, device_card
from mailstack.cli.devices import EXPIRES, SCOPE, app_list, app_remove
from mailstack.cli.invocation import show
from mailstack.policy.clients import client_settings

device = typer.Typer(no_args_is_help=True, help="Devices: each has its own password, which can be revoked.")
QR = typer.Option(True, help="show the link as a code for a phone's camera")


@device.command("add")
def device_add(
    context: typer.Context,
    address: str,
    label: str,
    scope: str = SCOPE,
    expires: str = EXPIRES,
    qr: bool = QR,
    json: bool = JSON,
) -> None:
    """Add a device: print its settings and its own password, and a link that sets it up, as text and as a code for its camera.

    The link works once, for ten minutes.

    Example: mailstack user device add alice@example.org "Alice's phone"
    """
    one = invocation(context)
    made = one.run("user.device.add", address=address, label=label, scope=scope, expires=expires or None)
    if json:
        show([made], True, [])
        return
    print("\n".join(device_card(made, client_settings(one.config()))))
    if made["link"] is None:
        print("  No link: it needs the running server, and listen.https or listen.http.")
        return
    print(f"\nOr open this on the device; it works once, within ten minutes:\n  {made['link']}\n")
    if qr:
        print(code(made["link"]))


@device.command("list")
def device_list(context: typer.Context, address: str, json: bool = JSON) -> None:
    """List an account's devices: when each was used last, from where, by what.

    Example: mailstack user device list alice@example.org
    """
    app_list(context, address, json)


@device.command("remove")
def device_remove(context: typer.Context, address: str, label: str) -> None:
    """Revoke a device's password; its live sessions end.

    Example: mailstack user device remove alice@example.org "Alice's phone"
    """
    app_remove(context, address, label)


def clients(context: typer.Context, json: bool = JSON) -> None:
    """Show the settings for mail programs, as programs that set themselves up are told.

    Example: mailstack clients
    """
    one = invocation(context)
    if json:
        show(one.run("clients")["services"], True, [])
        return
    print("\n".join(card(client_settings(one.config()))))
    print("  User name: the whole address")
