"""serve, quickstart, selftest, demo, config."""

from pathlib import Path
from typing import Any

import typer

from mailstack.cli.accounts import invocation
from mailstack.cli.invocation import fail
from mailstack.config import Config, Listen, render


def add_to(app: typer.Typer) -> None:
    app.command()(serve)
    app.command()(quickstart)
    app.command()(selftest)
    app.command()(demo)
    app.command("config")(show_config)


def serve(context: typer.Context) -> None:
    """Run in the foreground; SIGTERM stops within ten seconds, SIGHUP reloads certificates and the log's level.

    Example: mailstack -c /etc/mailstack/mailstack.toml serve
    """
    from mailstack import app

    one = invocation(context)
    raise typer.Exit(app.serve(one.config(), one.config_path()))


def show_config() -> None:
    """Print every setting with its meaning and default.

    Example: mailstack config > mailstack.toml
    """
    print(render(), end="")


def quickstart(
    context: typer.Context,
    address: str,
    dir: str = typer.Option("/etc/mailstack", help="where the configuration goes"),
    data: str = typer.Option("/var/lib/mailstack", help="where mail and keys go"),
    hostname: str = typer.Option("", help="the server's name; else mail.<domain>"),
) -> None:
    """Write a commented configuration, make domain, account and DKIM keys; print the DNS records and the next steps.

    Example: mailstack quickstart alice@example.org
    """
    from mailstack.message.address import parse_address
    from mailstack.message.errors import SyntaxProblem

    try:
        parsed = parse_address(address)
    except SyntaxProblem as problem:
        fail(f"{address!r} is not an address: {problem.reason}", 2)
    host = hostname or f"mail.{parsed.domain}"
    path = Path(dir) / "mailstack.toml"
    if path.exists():
        fail(f"{path} is there already; move it away, or use: mailstack domain add, mailstack user add", 2)
    config = Config(hostname=host, data_dir=data, postmaster=address)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(config), encoding="utf-8")
    except OSError as problem:
        fail(f"{path}: {problem.strerror}", 2)
    one = invocation(context)
    one.path = str(path)
    domain = one.run("domain.add", domain=parsed.domain)
    user = one.run("user.add", address=address)
    print(f"Configuration: {path}\nAccount: {user['address']}\nPassword, shown this once: {user['password']}\n")
    print("DNS records to publish:\n")
    for line in dns_records(parsed.domain, host, [(one["name"], one["value"]) for one in domain["dkim"]]):
        print(f"  {line}")
    print(
        f"""
Next steps:
  1. Publish the records; replace ADDRESS by this server's addresses, and let its PTR be {host}.
  2. Put a certificate for {host} into place: tls.mode = "files" in {path}; until then it is self-signed.
  3. Start: mailstack -c {path} serve
  4. Look: mailstack -c {path} check, and mailstack -c {path} selftest"""
    )


def dns_records(domain: str, host: str, dkim: list[tuple[str, str]]) -> list[str]:
    """What a domain publishes, as lines of a zone file."""
    lines = [
        f"{host}. A ADDRESS",
        f"{domain}. MX 10 {host}.",
        f'{domain}. TXT "v=spf1 mx -all"',
        *(f'{name}. TXT "{value}"' for name, value in dkim),
        f'_dmarc.{domain}. TXT "v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}"',
        f"_submissions._tcp.{domain}. SRV 0 1 465 {host}.",
        f"_submission._tcp.{domain}. SRV 10 1 587 {host}.",
        f"_imaps._tcp.{domain}. SRV 0 1 993 {host}.",
        f"_imap._tcp.{domain}. SRV 10 1 143 {host}.",
        f"autoconfig.{domain}. CNAME {host}.",
    ]
    return lines


def selftest(context: typer.Context) -> None:
    """Send a mail through the running server and fetch it: each step is timed; exit 1 names the step that failed.

    Example: mailstack selftest
    """
    from mailstack.cli.selfcheck import StepFailed, run_selftest

    one = invocation(context)
    config = one.config()
    try:
        run_selftest(config, one.run)
    except StepFailed as problem:
        fail(f"self-test: {problem}")


DEMO_USERS = ("alice", "bob")


def demo_config(data: Path) -> Config:
    """The embedded default: loopback, unprivileged ports, self-signed."""
    ports = {"smtp": 2525, "submission": 2587, "submissions": 2465, "imap": 2143, "imaps": 2993, "http": 2080}
    both = {name: [f"127.0.0.1:{port}", *([f"[::1]:{port}"] if _has_ipv6() else [])] for name, port in ports.items()}
    return Config(
        hostname="localhost",
        data_dir=str(data.absolute()),
        postmaster="alice@home.test",
        listen=Listen(**both),
    )


def _has_ipv6() -> bool:
    import socket

    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


def demo(
    data: str = typer.Option("var", help="where the demo's mail goes"),
    listen: str = typer.Option("", help="an address to listen on with the ordinary ports, as in a container"),
) -> None:
    """Run the embedded default: two accounts, self-signed TLS, loopback; prove it, and show the settings for clients.

    Example: mailstack demo --data var
    """
    import subprocess
    import sys
    import threading

    folder = Path(data).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = demo_config(folder)
    if listen:
        numbers = {"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "http": 80}
        ports: dict[str, Any] = {name: [f"{listen}:{port}"] for name, port in numbers.items()}
        config = Config(hostname="localhost", data_dir=str(folder), postmaster="alice@home.test", listen=Listen(**ports))
    path = folder / "mailstack.toml"
    if not path.exists():
        path.write_text(render(config), encoding="utf-8")
    command = [sys.executable, "-m", "mailstack", "-c", str(path)]
    from mailstack.cli.invocation import Invocation

    one = Invocation(str(path))
    config = one.config()
    passwords = {}
    if not any(row["domain"] == "home.test" for row in one.run("domain.list")):
        one.run("domain.add", domain="home.test")
        for name in DEMO_USERS:
            passwords[name] = one.run("user.add", address=f"{name}@home.test")["password"]
    server = subprocess.Popen([*command, "serve"])  # noqa: S603 - this program itself

    def prove() -> None:
        from mailstack.cli.selfcheck import StepFailed, run_selftest, wait_until_ready

        try:
            wait_until_ready(config, server.poll)
            run_selftest(config, one.run)
            print(_card(config, passwords), flush=True)
        except StepFailed as problem:
            if server.poll() is None:
                print(f"mailstack: self-test: {problem}", file=sys.stderr, flush=True)

    threading.Thread(target=prove, daemon=True).start()
    try:
        code = server.wait()
    except KeyboardInterrupt:
        # The terminal's Ctrl-C reached the server too: it stops by itself.
        code = server.wait()
    raise typer.Exit(code)


def _card(config: Config, passwords: dict[str, str]) -> str:
    def port(name: str) -> str:
        texts = getattr(config.listen, name)
        return texts[0].rpartition(":")[2] if texts else "off"

    lines = ["", "Settings for mail clients", f"  IMAP   localhost  port {port('imaps')} (TLS) or {port('imap')} (STARTTLS)"]
    lines.append(f"  SMTP   localhost  port {port('submissions')} (TLS) or {port('submission')} (STARTTLS), with login")
    lines.append("  The certificate is self-signed: clients will ask once.")
    if passwords:
        lines.append("  Accounts, their passwords shown this once:")
        lines += [f"    {name}@home.test   {password}" for name, password in passwords.items()]
    else:
        lines.append("  Accounts: alice@home.test, bob@home.test (new password: mailstack -c FILE user passwd)")
    lines += [f"  Configuration: {config.data_dir}/mailstack.toml", "Ctrl-C stops it.", ""]
    return "\n".join(lines)
