"""serve, quickstart, selftest, config."""

import contextlib
import os
import pwd
import sys
from pathlib import Path
from typing import Any

import typer

from mailstack.cli.accounts import invocation, show_records
from mailstack.cli.demo import demo
from mailstack.cli.invocation import fail
from mailstack.config import Config, render


def add_to(app: typer.Typer) -> None:
    app.command()(serve)
    app.command()(quickstart)
    app.command()(selftest)
    app.command()(demo)
    app.command("config")(show_config)


AGAIN = typer.Option(False, "--again", hidden=True, help="if it does not start, put the settings back that were there before")
BEFORE = ".trial"  # what a settings' file is called while it is not yet sure that the new one works


def serve(context: typer.Context, again: bool = AGAIN) -> None:
    """Run in the foreground; SIGTERM stops within ten seconds, SIGHUP reloads settings and certificates, SIGUSR1 starts anew.

    Example: mailstack serve
    """
    from mailstack import app

    one = invocation(context)
    path = one.config_path()
    try:
        code = app.serve(one.config(), path)
    except typer.Exit as problem:
        code = problem.exit_code
    before = Path(f"{path}{BEFORE}")
    if code == 2 and again and before.exists():
        print(f"mailstack: the server does not start with {path}; what was there before is back", file=sys.stderr)
        os.replace(before, str(path))
        _begin_anew(path, again=False)
    if code == app.RESTART:
        _begin_anew(path, again=True)
    raise typer.Exit(code)


def _begin_anew(path: str | None, *, again: bool) -> None:
    """The same process with a fresh program: whoever watches over it sees no end."""
    sys.stderr.flush()
    command = [sys.executable, "-m", "mailstack", *(["-c", path] if path else []), "serve", *(["--again"] if again else [])]
    os.execv(sys.executable, command)  # noqa: S606 - this program itself


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
    password_file: str = typer.Option("", help="a file with the account's password; else one is made"),
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
    password = read_secret(password_file)
    config = Config(hostname=host, data_dir=str(Path(data).absolute()), postmaster=str(parsed))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render(config), encoding="utf-8")
        give_to_service(Path(data))
    except OSError as problem:
        fail(f"{problem.filename}: {problem.strerror}", 2)
    one = invocation(context)
    one.path = str(path)
    try:
        domain = one.run("domain.add", domain=parsed.domain)
        user = one.run("user.add", address=address, password=password)
        one.run("user.admin", address=address)
    except typer.Exit:
        # Another try finds everything as it was.
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    print(f"Configuration: {path}\nAccount: {user['address']}\n{_password_line(user, password_file)}\n")
    print(f"DNS records to publish:\n\n  {host}. A ADDRESS")
    show_records(one, domain["domain"])
    print(
        f"""
Next steps:
  1. Publish the records; replace ADDRESS by this server's addresses, and let its PTR be {host}.
  2. Let certificates come by themselves: tls.mode = "acme" in {path}; or give your own: "files".
  3. Start: mailstack -c {path} serve
  4. Look: mailstack -c {path} dns --wait, mailstack -c {path} check, and mailstack -c {path} selftest
  5. The console: https://{host}/, with {address}, who is its admin."""
    )


def read_secret(path: str) -> str | None:
    """What a file holds, without the line's end; None: no file is named."""
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as problem:
        fail(f"{path}: {problem.strerror if isinstance(problem, OSError) else 'not UTF-8'}", 2)


def _password_line(user: dict[str, Any], file: str) -> str:
    return f"Password: what {file} holds" if file else f"Password, shown this once: {user['password']}"


def give_to_service(data: Path) -> None:
    """Data that root makes belongs to the user that the service runs as, where there is one."""
    if os.geteuid() != 0 or data.exists():
        return
    try:
        user = pwd.getpwnam("mailstack")
    except KeyError:
        return
    data.mkdir(mode=0o700, parents=True)
    os.chown(data, user.pw_uid, user.pw_gid)


def selftest(context: typer.Context) -> None:
    """Send a mail through the running server and fetch it: each step is timed; exit 1 names the step that failed.

    Example: mailstack selftest
    """
    from mailstack.cli.selfcheck import StepFailed, run_selftest

    one = invocation(context)
    config = one.config()
    if not one.running():
        fail(f"self-test: server: none runs on {config.data}; start it: mailstack serve")
    try:
        run_selftest(config, one.run)
    except StepFailed as problem:
        fail(f"self-test: {problem}")
