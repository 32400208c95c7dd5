"""`mailstack go-public`: the trial becomes the real server, with its users and their mail."""

import os
import socket
import sys
import time
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

import typer

from mailstack.cli.accounts import invocation
from mailstack.cli.demo import DOMAIN, ORDINARY_PORTS
from mailstack.cli.dns import is_essential, print_domains, wait_until_right
from mailstack.cli.invocation import Invocation, fail
from mailstack.cli.selfcheck import StepFailed, run_selftest
from mailstack.cli.settings_file import put
from mailstack.cli.start import BEFORE
from mailstack.config import Config, ConfigProblem, load
from mailstack.config.editing import EditProblem, edited
from mailstack.message.address import normalise_domain
from mailstack.message.errors import SyntaxProblem
from mailstack.net.reaching import greets

NEW_DOMAIN = typer.Argument(..., metavar="DOMAIN", help="like example.org")
HOST = typer.Option("", "--hostname", help="the server's name; else mail.<domain>")
FROM = typer.Option(DOMAIN, "--from", help="the trial's domain, whose accounts move")
TLS = typer.Option("acme", "--tls", help="tls.mode from now on: acme, files or self-signed")
KEEP = typer.Option(False, "--keep-listeners", help="the ports stay as they are: a router or proxy leads the public ones there")
ADDRESSES = typer.Option([], "--address", help="a public address of this server, where it can't see it itself")
WAIT = typer.Option(True, "--wait/--no-wait", help="wait until the DNS is right; Ctrl-C is safe, the same command goes on")
EVERY = typer.Option(15.0, "--every", help="seconds between two looks at the DNS")
SERVER = typer.Option([], "--server", help="a name server to ask (address or address:port); else those of the zones")
DRY = typer.Option(False, "--dry-run", help="only say what would be done")
SECONDS = 60.0  # until the server is there again
CERTIFICATE_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of what. `text`: of the settings' file; `moves`: addresses, old and new."""

    path: Path
    domain: str
    hostname: str
    before: str
    text: str
    moves: tuple[tuple[str, str], ...]


def go_public(
    context: typer.Context,
    domain: str = NEW_DOMAIN,
    hostname: str = HOST,
    trial: str = FROM,
    tls: str = TLS,
    keep_listeners: bool = KEEP,
    address: list[str] = ADDRESSES,
    wait: bool = WAIT,
    every: float = EVERY,
    server: list[str] = SERVER,
    dry_run: bool = DRY,
) -> None:
    """Make the real server for a domain out of the running trial: users and their mail stay, and log in by their new addresses.

    The trial runs on as it is until the DNS is right; each step can be repeated, and what fails is undone.

    Example: mailstack go-public example.org
    """
    one = invocation(context)
    if not one.running():
        fail("no server runs here; start the trial first: make run, or docker compose up")
    plan = _plan(one, _domain(domain), hostname, trial, tls, keep_listeners, address)
    _may_listen(one, plan)
    if dry_run:
        _show(plan)
        return
    _step("The domain and its keys")
    if not any(row["domain"] == plan.domain for row in one.run("domain.list")):
        one.run("domain.add", domain=plan.domain)
    _step(f"The DNS of {plan.domain}")
    _right_dns(one, plan, address, server, every if wait else None)
    _step("The switch")
    _switch(one, plan)
    if tls == "acme":
        _step("The certificate")
        _certificate(one)
    _step("The proof")
    try:
        run_selftest(one.config(), one.run)
    except StepFailed as problem:
        fail(f"self-test: {problem}; what is not well: mailstack -c {plan.path} check")
    _reach(one, plan)
    _farewell(one, plan)


def _step(text: str) -> None:
    print(f"\n{text}", flush=True)


# What is to be done -------------------------------------------------------------------------------------------------


def _domain(text: str) -> str:
    try:
        domain = normalise_domain(text)
    except SyntaxProblem as problem:
        fail(f"{text!r} is not a domain: {problem.reason}", 2)
    if "." not in domain or "[" in domain:
        fail(f"{text!r} is not a domain of the DNS, like example.org", 2)
    return domain


def _plan(
    one: Invocation, domain: str, hostname: str, trial: str, tls: str, keep_listeners: bool, addresses: list[str]
) -> Plan:
    config = one.config()
    path = Path(str(one.config_path()))
    host = (hostname or f"mail.{domain}").lower()
    moves = tuple(
        (row["address"], f"{row['address'].rpartition('@')[0]}@{domain}")
        for row in one.run("user.list")
        if row["address"].endswith(f"@{trial}")
    )
    values: dict[str, Any] = {"hostname": host, "tls.mode": tls}
    if addresses:
        values["dns.addresses"] = addresses
    renamed = dict(moves)
    if config.postmaster in renamed or (not config.postmaster and moves):
        values["postmaster"] = renamed.get(config.postmaster, moves[0][1] if moves else "")
    if not keep_listeners:
        values |= {f"listen.{name}": places for name, places in _listeners(config).items()}
    try:
        before = path.read_text(encoding="utf-8")
        return Plan(path, domain, host, before, edited(before, values), moves)
    except (OSError, EditProblem) as problem:
        fail(f"{path}: {problem}")


def _listeners(config: Config) -> dict[str, list[str]]:
    """Those that this machine alone reaches go to all addresses and the ordinary ports; those that are off stay off."""
    found = {}
    for name, port in ORDINARY_PORTS.items():
        places = getattr(config.listen, name)
        if places and all(text.startswith(("127.", "localhost:", "[::1]")) for text in places):
            found[name] = [f"[::]:{port}"]
    return found


def _may_listen(one: Invocation, plan: Plan) -> None:
    config = _read(plan)
    wanted = [text for _, text in config.listeners()]
    problems = one.run("server.could", listeners=wanted)
    if problems:
        hint = (
            "ports below 1024 need root, or as root: sysctl net.ipv4.ip_unprivileged_port_start=25; "
            "behind a router or proxy that leads there: --keep-listeners"
        )
        fail(f"the server can't listen at {'; '.join(problems)}: {hint}")


def _read(plan: Plan) -> Config:
    """The new settings, as the server would read them."""
    draft = plan.path.with_name(f"{plan.path.name}.draft")
    try:
        draft.write_text(plan.text, encoding="utf-8")
        return load(draft)
    except (OSError, ConfigProblem) as problem:
        fail(str(problem), 2)
    finally:
        draft.unlink(missing_ok=True)


def _show(plan: Plan) -> None:
    print(f"{plan.path}:")
    for line in unified_diff(plan.before.splitlines(), plan.text.splitlines(), "now", "then", n=0, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            print(f"  {line}")
    print("Accounts:")
    for old, new in plan.moves:
        print(f"  {old} is {new} then; the same mail and password, and mail for {old} still comes")
    print(f"DNS: mailstack dns {plan.domain}, once the domain is here")


# Doing it -----------------------------------------------------------------------------------------------------------


def _right_dns(one: Invocation, plan: Plan, addresses: list[str], servers: list[str], every: float | None) -> None:
    """Shows it, and waits for what the server can't do without; the rest may follow."""
    asked = {"domain": plan.domain, "servers": servers, "host": plan.hostname, "addresses": addresses}
    if one.config().dns.update_server:
        one.run("dns.update", **{**asked, "servers": []})
    rows = one.run("dns.compare", fresh=True, **asked)
    print_domains(rows)
    if every is None or not any(is_essential(row) for row in rows):
        return
    print("\nPublish what is missing; as a zone file: mailstack dns --zone. Waiting (Ctrl-C is safe) …", flush=True)
    rows = wait_until_right(one, asked, every, None, essential=True)
    if any(is_essential(row) for row in rows):
        fail("the DNS is not right yet; the trial runs on, and the same command goes on from here")


def _switch(one: Invocation, plan: Plan) -> None:
    """Accounts, settings, and a new start; all of it is taken back where the server does not come."""
    before = plan.path.with_name(f"{plan.path.name}{BEFORE}")
    done: list[tuple[str, str]] = []
    try:
        for old, new in plan.moves:
            one.run("user.rename", address=old, to=new)
            done.append((old, new))
            print(f"  {old} is {new} now")
        if plan.text != plan.before:
            put(before, plan.before, like=plan.path)
            put(plan.path, plan.text, like=plan.path)
            _start_again(one, plan, before)
    except (typer.Exit, OSError, KeyboardInterrupt) as problem:
        if isinstance(problem, OSError):
            print(f"mailstack: {problem}", file=sys.stderr)
        _undo(one, plan, before, done)
        raise typer.Exit(1) from None
    before.unlink(missing_ok=True)


def _undo(one: Invocation, plan: Plan, before: Path, done: list[tuple[str, str]]) -> None:
    print("mailstack: the switch failed; everything is put back", file=sys.stderr)
    if before.exists():
        os.replace(before, plan.path)
        if one.running() and one.run("server")["hostname"] == plan.hostname:
            _signal(one)
    _await(one, None)
    for old, new in reversed(done):
        one.run("user.rename", address=new, to=old, keep=False)


def _start_again(one: Invocation, plan: Plan, before: Path) -> None:
    _signal(one)
    if not _await(one, plan.hostname, before):
        fail(f"the server does not come back as {plan.hostname}; its log says why")
    print(f"  the server is {plan.hostname} now")


def _signal(one: Invocation) -> None:
    from mailstack.app import RESTART_SIGNAL

    os.kill(one.run("server")["pid"], RESTART_SIGNAL)


def _await(one: Invocation, hostname: str | None, before: Path | None = None) -> bool:
    """Whether it runs in time, under this name. A server that can't start with the new settings puts those of `before` back."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if one.running():
            try:
                found = one.run("server")["hostname"]
            except typer.Exit:
                found = None
            if found is not None and hostname in (found, None):
                return True
            if found is not None and before is not None and not before.exists():
                return False
        time.sleep(0.1)
    return False


def _certificate(one: Invocation) -> None:
    """Until an authority has signed; without it our own certificate is served, and it is asked for again."""
    end = time.monotonic() + CERTIFICATE_SECONDS
    rows: list[dict[str, Any]] = []
    while time.monotonic() < end:
        rows = one.run("tls.status")
        if rows and rows[0]["state"] == "served":
            print(f"  {rows[0]['name']}: {rows[0]['state']}")
            return
        if rows and rows[0].get("problem"):
            break
        time.sleep(0.5)
    why = rows[0].get("problem") if rows else "no answer"
    print(f"  there is none yet ({why}): it is asked for again by itself; mailstack tls status")


def _reach(one: Invocation, plan: Plan) -> None:
    """By the public name; from inside a network not every router leads back."""
    try:
        socket.getaddrinfo(plan.hostname, None)
    except OSError as unknown:
        print(f"  {plan.hostname} is not found from here: {unknown.strerror}")
        return
    for name, text in one.config().listeners():
        port = int(text.rpartition(":")[2])
        problem = greets(name, plan.hostname, port)
        said = "answers" if problem is None else f"can't be reached from here ({problem}); try it from elsewhere"
        print(f"  {plan.hostname} port {port} {said}")


def _farewell(one: Invocation, plan: Plan) -> None:
    names = ", ".join(new for _, new in plan.moves) or "the accounts"
    print(
        f"\n{plan.hostname} is public. {names} log in by their new addresses, with the same passwords, at {plan.hostname}.\n"
        f"Look: mailstack -c {plan.path} check; the DNS: mailstack -c {plan.path} dns {plan.domain}"
    )
