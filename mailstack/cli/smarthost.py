"""smarthost: sending by a service, where port 25 is closed."""

import os
import smtplib
import ssl
from dataclasses import asdict
from email.utils import formatdate, make_msgid
from pathlib import Path
from urllib.parse import quote

import typer

from mailstack.cli.accounts import JSON, STDIN, invocation
from mailstack.cli.invocation import Invocation, fail, read_password, show
from mailstack.cli.settings_file import change
from mailstack.records.relays import RELAYS, Relay, by_name

SECONDS = 30.0
TLS_PORTS = frozenset({443, 465, 2465, 8465})  # TLS from the first byte on
PASSWORD_FILE = "smarthost.password"  # noqa: S105 - a file's name
smarthost = typer.Typer(no_args_is_help=True, help="Sending by a service, where your provider closes port 25.")
NAME = typer.Argument(..., help="one of mailstack smarthost list; isp is any other, with --host")
USER = typer.Option("", "--user", help="the name to log in with; empty: without a login")
HOST = typer.Option("", "--host", help="instead of the service's own")
PORT = typer.Option(0, "--port", help="instead of the usual one; 443, 465, 2465 and 8465 begin with TLS, others with STARTTLS")
REGION = typer.Option("", "--region", help="for services that have regions, like eu-central-1")
TO = typer.Option("", "--to", help="who gets the test message; else postmaster of the settings")
SENDER = typer.Option("", "--from", help="its sender; else postmaster of the settings")


class RelayRefuses(Exception):
    """At which step, and what was said; for the admin."""


@smarthost.command("list")
def smarthost_list(json: bool = JSON) -> None:
    """List services, where they are reached, and what each needs.

    Example: mailstack smarthost list
    """
    rows = [asdict(one) for one in RELAYS]
    show(rows, json, ["name", "title", "host", "port", "include"])
    if not json:
        print()
        for one in RELAYS:
            print(f"{one.name}: {one.note}")
        print("\nTry one and use it: mailstack smarthost set NAME --user USER")


@smarthost.command("set")
def smarthost_set(
    context: typer.Context,
    name: str = NAME,
    user: str = USER,
    host: str = HOST,
    port: int = PORT,
    region: str = REGION,
    to: str = TO,
    sender: str = SENDER,
    password_stdin: bool = STDIN,
) -> None:
    """Send a test message by a service and, if it takes it, let all mail for others leave by it.

    Example: mailstack smarthost set mailgun --user postmaster@example.org
    """
    one = invocation(context)
    relay = by_name(name)
    if relay is None:
        fail(f"{name} is none of {', '.join(relay.name for relay in RELAYS)}", 2)
    place, number = _place(relay, host, region), port or relay.port
    postmaster = one.config().postmaster
    if not (to or postmaster) or not (sender or postmaster):
        fail("say who sends and gets the test message: --from and --to, or postmaster in the settings", 2)
    password = (read_password(password_stdin, f"Password of {user} at {place}") if user else None) or ""
    try:
        said = send_test(place, number, user, password, sender or postmaster, to or postmaster)
    except RelayRefuses as problem:
        fail(f"{place} port {number}: {problem}; nothing was changed")
    print(f"{place} took a message for {to or postmaster}: {said}")
    path = _use(one, place, number, user, password)
    print(f"{path} names it now; all mail for others leaves by it.")
    if relay.include:
        print(f"SPF has to allow it ({relay.include}): mailstack dns shows the record that your domain needs.")
    elif relay.host:
        print(f"Your SPF record stays: {relay.title} puts its own domain into the envelope. Let it sign for yours (DKIM).")
    print("See that the test message arrived, and was not put into spam.")


@smarthost.command("off")
def smarthost_off(context: typer.Context) -> None:
    """Deliver to the hosts of the receivers' domains again.

    Example: mailstack smarthost off
    """
    path = change(invocation(context), {"relay.smarthost": "", "relay.smarthost_password_file": ""})
    print(f"{path} names no smarthost now.")


def _place(relay: Relay, host: str, region: str) -> str:
    if host:
        return host
    if "{region}" in relay.host and not region:
        fail(f"{relay.title} has regions: --region eu-central-1", 2)
    if not relay.host:
        fail("name the server: --host", 2)
    return relay.host.format(region=region)


def send_test(host: str, port: int, user: str, password: str, sender: str, to: str) -> str:
    """What the service answered to the message. Raises RelayRefuses."""
    step = "connection"
    try:
        context = ssl.create_default_context()
        with _connected(host, port, context) as client:
            if port not in TLS_PORTS:
                step = "STARTTLS"
                client.starttls(context=context)
            if user:
                step = "login"
                client.login(user, password)
            step = f"MAIL FROM:<{sender}>"
            _expect(client.mail(sender))
            step = f"RCPT TO:<{to}>"
            _expect(client.rcpt(to))
            step = "the message"
            return _expect(client.data(_message(sender, to).encode()))
    except smtplib.SMTPResponseException as problem:
        raise RelayRefuses(f"{step}: {problem.smtp_code} {_text(problem.smtp_error)}") from problem
    except (smtplib.SMTPException, OSError) as problem:
        raise RelayRefuses(f"{step}: {problem or type(problem).__name__}") from problem


def _connected(host: str, port: int, context: ssl.SSLContext) -> smtplib.SMTP:
    if port in TLS_PORTS:
        return smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
    return smtplib.SMTP(host, port, timeout=SECONDS)


def _expect(answer: tuple[int, bytes]) -> str:
    code, words = answer
    if code // 100 != 2:
        raise smtplib.SMTPResponseException(code, words)
    return f"{code} {_text(words)}"


def _text(words: bytes | str) -> str:
    return (words.decode(errors="replace") if isinstance(words, bytes) else words).replace("\n", " ")


def _message(sender: str, to: str) -> str:
    fields = (
        f"From: <{sender}>", f"To: <{to}>", "Subject: Test of the smarthost", f"Date: {formatdate(localtime=True)}",
        f"Message-ID: {make_msgid(domain=sender.rpartition('@')[2])}",
    )  # fmt: skip
    return "\r\n".join((*fields, "", "If you read this, mail leaves by the smarthost.", ""))


def _use(one: Invocation, host: str, port: int, user: str, password: str) -> Path:
    """The password is in a file of its own, that only the server reads."""
    values = {"relay.smarthost_password_file": ""}
    if user:
        path = one.config().data / PASSWORD_FILE
        status = one.config().data.stat()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{password}\n")
        if os.geteuid() == 0:
            os.chown(path, status.st_uid, status.st_gid)
        values = {"relay.smarthost_password_file": str(path)}
    scheme = "smtps" if port in TLS_PORTS else "smtp"
    login = f"{quote(user, safe='')}@" if user else ""
    return change(one, {"relay.smarthost": f"{scheme}://{login}{host}:{port}", **values})
