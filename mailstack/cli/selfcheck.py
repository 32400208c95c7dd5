"""The self-test: the whole way through the running server, by the protocols that clients speak."""

import asyncio
import secrets
import smtplib
import ssl
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from aioimaplib import aioimaplib

from mailstack.config import Config

ADDRESS_PART = "mailstack-selftest"


class StepFailed(Exception):
    """Which step, and why."""


def _place(config: Config, *names: str) -> tuple[str, str, int]:
    """The first listener that is configured among `names`: its name, host and port."""
    for name in names:
        for text in getattr(config.listen, name):
            host, _, port = text.rpartition(":")
            host = host.strip("[]")
            return name, {"::": "localhost", "0.0.0.0": "127.0.0.1"}.get(host, host), int(port)
    raise StepFailed(f"no listener among {', '.join(names)} is configured")


def wait_until_ready(config: Config, ended: Callable[[], object], seconds: float = 60.0) -> None:
    """Return when /healthz is green. Raises StepFailed."""
    _, host, port = _place(config, "http")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ended() is not None:
            raise StepFailed("start: the server ended")
        try:
            with urllib.request.urlopen(f"http://{host}:{port}/healthz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise StepFailed("start: the server did not get ready")


def run_selftest(config: Config, run: Callable[..., Any]) -> None:
    """With an account of its own, which is removed at the end. Prints each step with its time."""
    domains = [row["domain"] for row in run("domain.list")]
    if not domains:
        raise StepFailed("account: there is no domain; add one: mailstack domain add example.org")
    address = f"{ADDRESS_PART}-{secrets.token_hex(4)}@{domains[0]}"
    password = run("user.add", address=address)["password"]
    try:
        _steps(config, address, password)
    finally:
        folder = run("user.remove", address=address)["folder"]
        _clean(folder)


def _clean(folder: str) -> None:
    import shutil

    if ADDRESS_PART in folder:
        shutil.rmtree(folder, ignore_errors=True)


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Clock:
    def __init__(self) -> None:
        self.last = time.perf_counter()

    def step(self, name: str) -> None:
        now = time.perf_counter()
        print(f"  {name:<42} {1000 * (now - self.last):8.1f} ms", flush=True)
        self.last = now


def _steps(config: Config, address: str, password: str) -> None:
    token = secrets.token_hex(8)
    print("Self-test", flush=True)
    clock = _Clock()
    asyncio.run(_round_trip(config, address, password, token, clock))


async def _round_trip(config: Config, address: str, password: str, token: str, clock: _Clock) -> None:
    step = "IMAP login"
    try:
        name, host, port = _place(config, "imaps", "imap") if config.tls.mode != "off" else _place(config, "imap")
        secure = name == "imaps"
        client: Any
        if secure:
            client = aioimaplib.IMAP4_SSL(host=host, port=port, timeout=30, ssl_context=_context())
        else:
            client = aioimaplib.IMAP4(host=host, port=port, timeout=30)
        await client.wait_hello_from_server()
        await _ok(await client.login(address, password))
        clock.step("IMAP login")
        step = "IMAP IDLE"
        await _ok(await client.select("INBOX"))
        idle = await client.idle_start(timeout=60)
        clock.step("IMAP SELECT and IDLE")
        step = "submission"
        queued = await asyncio.get_running_loop().run_in_executor(None, _submit, config, address, password, token)
        clock.step(f"submission: 250 ({queued})")
        step = "push"
        while not any(b"EXISTS" in line for line in await client.wait_server_push(timeout=30)):
            pass
        clock.step("IMAP IDLE told of it")
        step = "IMAP FETCH"
        client.idle_done()
        await asyncio.wait_for(idle, 10)
        answer = await _ok(await client.fetch("1", "(BODY.PEEK[])"))
        if token.encode() not in b"".join(bytes(line) for line in answer.lines):
            raise StepFailed("IMAP FETCH: the message is not the one that was sent")
        clock.step("IMAP FETCH: the same message")
        await client.logout()
    except (OSError, TimeoutError, smtplib.SMTPException, aioimaplib.Error, aioimaplib.Abort) as problem:
        raise StepFailed(f"{step}: {type(problem).__name__}: {problem}") from problem


async def _ok(answer: Any) -> Any:
    if answer.result != "OK":
        raise StepFailed(f"IMAP said {answer.result} {answer.lines}")
    return answer


def _submit(config: Config, address: str, password: str, token: str) -> str:
    name, host, port = _place(config, "submissions", "submission") if config.tls.mode != "off" else _place(config, "submission")
    kind = smtplib.SMTP_SSL if name == "submissions" else smtplib.SMTP
    extra: dict[str, Any] = {"context": _context()} if name == "submissions" else {}
    with kind(host, port, timeout=30, **extra) as client:
        if name == "submission" and config.tls.mode != "off":
            client.starttls(context=_context())
        client.login(address, password)
        text = f"From: <{address}>\r\nTo: <{address}>\r\nSubject: Self-test {token}\r\n\r\nIt works.\r\n"
        client.mail(address)
        client.rcpt(address)
        code, words = client.data(text.encode())
        if code != 250:
            raise StepFailed(f"submission: {code} {words.decode(errors='replace')}")
        return words.decode(errors="replace").rpartition(" ")[2]
