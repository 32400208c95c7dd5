"""`mailstack demo`: the embedded default, which proves itself and shows the settings for clients."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import typer

from mailstack.cli.card import card
from mailstack.cli.first_start import first_start
from mailstack.cli.invocation import Invocation, fail
from mailstack.cli.reaching import has_ipv6
from mailstack.cli.selfcheck import StepFailed, run_selftest, wait_until_ready
from mailstack.config import Config, Listen, render
from mailstack.policy.clients import client_settings

DOMAIN = "home.test"
USERS = ("alice", "bob")
HOSTNAME = "localhost"
TRIAL_PORTS = {
    "smtp": 2525,
    "submission": 2587,
    "submissions": 2465,
    "imap": 2143,
    "imaps": 2993,
    "managesieve": 24190,
    "http": 2080,
    "https": 2443,
}
ORDINARY_PORTS = {
    "smtp": 25,
    "submission": 587,
    "submissions": 465,
    "imap": 143,
    "imaps": 993,
    "managesieve": 4190,
    "http": 80,
    "https": 443,
}


def demo_config(data: Path, listen: str = "") -> Config:
    """Loopback and unprivileged ports, or an address and the ordinary ones; self-signed."""
    addresses = [listen] if listen else ["127.0.0.1", *(["[::1]"] if has_ipv6() else [])]
    ports = ORDINARY_PORTS if listen else TRIAL_PORTS
    listeners = {name: [f"{address}:{port}" for address in addresses] for name, port in ports.items()}
    return Config(hostname=HOSTNAME, data_dir=str(data), postmaster=f"{USERS[0]}@{DOMAIN}", listen=Listen(**listeners))


def demo(
    data: str = typer.Option("var", help="where the demo's mail goes"),
    listen: str = typer.Option("", help="an address to listen on with the ordinary ports, as in a container"),
) -> None:
    """Run the embedded default: two accounts, self-signed TLS, loopback; prove it, and show the settings for clients.

    A mailstack.toml in DATA that names a real host is served as it is, without demo accounts. Without one,
    MAILSTACK_FIRST_ACCOUNT (and MAILSTACK_FIRST_PASSWORD_FILE) make it and its first account, as quickstart does.

    Example: mailstack demo --data var
    """
    folder = Path(data).absolute()
    path = folder / "mailstack.toml"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists() and not first_start(folder):
            path.write_text(render(demo_config(folder, listen)), encoding="utf-8")
    except OSError as problem:
        fail(f"{problem.filename}: {problem.strerror}", 2)
    one = Invocation(str(path))
    config = one.config()
    command = [sys.executable, "-m", "mailstack", "-c", str(path), "serve"]
    if config.hostname != HOSTNAME:
        os.execv(sys.executable, command)  # noqa: S606 - this program itself
    server = subprocess.Popen(command)  # noqa: S603 - this program itself
    # Ctrl-C in a terminal reaches both; `docker stop` and a service manager reach this process alone.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: server.send_signal(received))
    threading.Thread(target=_prove, args=(one, config, server), daemon=True).start()
    raise typer.Exit(server.wait())


def _prove(one: Invocation, config: Config, server: "subprocess.Popen[bytes]") -> None:
    """In a thread, beside the running server."""
    try:
        wait_until_ready(config, server.poll)
        passwords = _accounts(one)
        print(_card(config, passwords), flush=True)
        run_selftest(config, one.run)
        print("Everything works. Ctrl-C stops it.", flush=True)
    except StepFailed as problem:
        # A server that ended has said why.
        if server.poll() is None:
            print(f"mailstack: self-test: {problem}", file=sys.stderr, flush=True)
    except typer.Exit:
        return  # an operation failed, and said so


def _accounts(one: Invocation) -> dict[str, str]:
    """Make the demo's accounts, unless they were made; their passwords."""
    if any(row["domain"] == DOMAIN for row in one.run("domain.list")):
        return {}
    one.run("domain.add", domain=DOMAIN)
    passwords = {name: one.run("user.add", address=f"{name}@{DOMAIN}")["password"] for name in USERS}
    one.run("user.admin", address=f"{USERS[0]}@{DOMAIN}")
    return passwords


def _card(config: Config, passwords: dict[str, str]) -> str:
    lines = ["", *card(client_settings(config))]
    lines.append("  Clients will ask once about the certificate, and not at all where this file is trusted:")
    lines.append(f"  {config.data_dir}/tls/ca.pem")
    if console := _console(config):
        lines.append(f"  Console {console}; {USERS[0]} is its admin")
    file = f"{config.data_dir}/mailstack.toml"
    if passwords:
        lines.append("  Accounts, their passwords shown this once:")
        width = max(map(len, passwords))
        lines += [f"    {f'{name}@{DOMAIN}':<{width + len(DOMAIN) + 1}}   {password}" for name, password in passwords.items()]
    else:
        lines.append(f"  Accounts: {', '.join(f'{name}@{DOMAIN}' for name in USERS)}")
        lines.append(f"  A new password: mailstack -c {file} user passwd {USERS[0]}@{DOMAIN}")
    lines += [f"  Configuration: {file}", f"  Commands: mailstack -c {file} user list", ""]
    return "\n".join(lines)


def _console(config: Config) -> str:
    """Its address for a browser on this machine: without TLS it is for this machine alone, and a browser need not ask."""
    for text in config.listen.http:
        host, _, port = text.rpartition(":")
        if host in ("127.0.0.1", "localhost"):
            return f"http://localhost:{port}/"
    web = client_settings(config).web
    return f"{web}/" if web is not None and web.startswith("https:") else ""
