"""The self-test: the whole way through the running server, by the protocols that clients speak."""

import asyncio
import contextlib
import poplib
import secrets
import shutil
import smtplib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from aioimaplib import aioimaplib

from mailstack.cli.reaching import greets, hosts, place, prefixed, trusting
from mailstack.config import Config

ADDRESS_PART = "mailstack-selftest"


class StepFailed(Exception):
    """Which step, and why."""


Place = Callable[..., tuple[str, str, int]]


@contextlib.asynccontextmanager
async def _places(config: Config) -> AsyncIterator[Place]:
    """A function that gives the first configured listener among names: its name, host and port. Raises StepFailed.

    Where a listener wants a PROXY header, it is a door of our own, which puts one in front.
    """
    async with contextlib.AsyncExitStack() as stack:
        instead = {}
        for name in config.proxy.listeners:
            found = place(config, name)
            if found is not None:
                instead[name] = await stack.enter_async_context(prefixed(*found[1:]))

        def one(*names: str) -> tuple[str, str, int]:
            found = place(config, *names)
            if found is None:
                raise StepFailed(f"no listener among {', '.join(names)} is configured")
            return (found[0], "127.0.0.1", instead[found[0]]) if found[0] in instead else found

        yield one


def wait_until_ready(config: Config, ended: Callable[[], object], seconds: float = 60.0) -> None:
    """Return when every listener answers. Raises StepFailed."""
    end = time.monotonic() + seconds
    doors = [(name, *door) for name, text in config.listeners() for door in hosts(text)]
    while doors and time.monotonic() < end:
        if ended() is not None:
            raise StepFailed("start: the server ended")
        if greets(*doors[-1], proxied=doors[-1][0] in config.proxy.listeners) is None:
            doors.pop()
        else:
            time.sleep(0.1)
    if doors:
        raise StepFailed("start: the server did not get ready")


def run_selftest(config: Config, run: Callable[..., Any], patience: float = 30.0) -> None:
    """With an account of its own, which is removed at the end. Prints each step with its time. Raises StepFailed.

    The running server is told how it went.
    """
    steps: list[tuple[str, float]] = []
    problem: StepFailed | None = None
    try:
        _run(config, run, patience, steps)
    except StepFailed as failed:
        problem = failed
    run("selftest.record", steps=steps, problem=str(problem) if problem is not None else None)
    if problem is not None:
        raise problem


def _run(config: Config, run: Callable[..., Any], patience: float, steps: list[tuple[str, float]]) -> None:
    domains = [row["domain"] for row in run("domain.list")]
    if not domains:
        raise StepFailed("account: there is no domain; add one: mailstack domain add example.org")
    address = f"{ADDRESS_PART}-{secrets.token_hex(4)}@{domains[0]}"
    password = run("user.add", address=address)["password"]
    try:
        print("Self-test", flush=True)
        asyncio.run(_self_test(config, address, password, patience, steps))
    finally:
        removed = run("user.remove", address=address)
        for folder in {removed["folder"], str(Path(removed["index"]).parent)}:
            if ADDRESS_PART in folder:
                shutil.rmtree(folder, ignore_errors=True)


class _Steps:
    """Which step is under way, and how long each took."""

    def __init__(self, done: list[tuple[str, float]]) -> None:
        self.name = ""
        self._begun = 0.0
        self._done = done

    def begin(self, name: str) -> None:
        self.name, self._begun = name, time.perf_counter()

    def done(self, note: str = "") -> None:
        name = f"{self.name} ({note})" if note else self.name
        took = round(1000 * (time.perf_counter() - self._begun), 1)
        self._done.append((self.name, took))
        print(f"  {name:<42} {took:8.1f} ms", flush=True)


async def _self_test(config: Config, address: str, password: str, patience: float, done: list[tuple[str, float]]) -> None:
    async with _places(config) as one:
        await _round_trip(config, one, address, password, secrets.token_hex(8), patience, _Steps(done))


async def _round_trip(
    config: Config, one: Place, address: str, password: str, token: str, patience: float, steps: _Steps
) -> None:
    try:
        steps.begin("IMAP login")
        name, host, port = one("imaps", "imap")
        client: Any
        if name == "imaps":
            client = aioimaplib.IMAP4_SSL(host=host, port=port, timeout=patience, ssl_context=trusting())
        else:
            client = aioimaplib.IMAP4(host=host, port=port, timeout=patience)
        await client.wait_hello_from_server()
        _ok(await client.login(address, password))
        steps.done()
        steps.begin("IMAP SELECT and IDLE")
        _ok(await client.select("INBOX"))
        idle = await client.idle_start(timeout=2 * patience)
        steps.done()
        steps.begin("submission: 250")
        queued = await asyncio.to_thread(_submit, config, one, address, password, token, patience)
        steps.done(queued)
        steps.begin("IMAP IDLE told of it")
        async with asyncio.timeout(patience):
            while not any(b"EXISTS" in line for line in await client.wait_server_push(timeout=patience)):
                pass
        steps.done()
        steps.begin("IMAP FETCH: the same message")
        client.idle_done()
        await asyncio.wait_for(idle, 10)
        answer = _ok(await client.fetch("1", "(BODY.PEEK[])"))
        if token.encode() not in b"".join(bytes(line) for line in answer.lines):
            raise StepFailed("the message is not the one that was sent")
        steps.done()
        await client.logout()
        if place(config, "pop3s", "pop3") is not None:
            steps.begin("POP3 RETR: the same message")
            await asyncio.to_thread(_retrieve, config, one, address, password, token, patience)
            steps.done()
    except (StepFailed, OSError, TimeoutError, smtplib.SMTPException, aioimaplib.Error, aioimaplib.Abort) as problem:
        words = str(problem) or f"no answer within {patience:.0f} s"
        raise StepFailed(f"{steps.name}: {words}") from problem


def _retrieve(config: Config, one: Place, address: str, password: str, token: str, patience: float) -> None:
    name, host, port = one("pop3s", "pop3")
    client: poplib.POP3
    try:
        if name == "pop3s":
            client = poplib.POP3_SSL(host, port, timeout=patience, context=trusting())
        else:
            client = poplib.POP3(host, port, timeout=patience)
            if config.tls.mode != "off":
                client.stls(trusting())
        client.user(address)
        client.pass_(password)
        if token.encode() not in b"".join(client.retr(1)[1]):
            raise StepFailed("the message is not the one that was sent")
        client.quit()
    except poplib.error_proto as problem:
        raise StepFailed(str(problem)) from problem


def _ok(answer: Any) -> Any:
    if answer.result != "OK":
        words = b" ".join(bytes(line) for line in answer.lines).decode(errors="replace")
        raise StepFailed(f"the server said {answer.result} {words}")
    return answer


def _submit(config: Config, one: Place, address: str, password: str, token: str, patience: float) -> str:
    name, host, port = one("submissions", "submission")
    kind = smtplib.SMTP_SSL if name == "submissions" else smtplib.SMTP
    extra: dict[str, Any] = {"context": trusting()} if name == "submissions" else {}
    with kind(host, port, timeout=patience, **extra) as client:
        if name == "submission" and config.tls.mode != "off":
            client.starttls(context=trusting())
        client.login(address, password)
        text = f"From: <{address}>\r\nTo: <{address}>\r\nSubject: Self-test {token}\r\n\r\nIt works.\r\n"
        client.mail(address)
        client.rcpt(address)
        code, words = client.data(text.encode())
        if code != 250:
            raise StepFailed(f"{code} {words.decode(errors='replace')}")
        return words.decode(errors="replace").rpartition(" ")[2]
