"""A server of its own process that a test may kill, clients that write down what was acknowledged, and the check afterwards."""

import contextlib
import imaplib
import itertools
import json
import os
import random
import re
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DOMAIN = "a.test"
PASSWORD = "correct horse battery staple"
ROOT = Path(__file__).parents[2]
NETWORK_PROBLEMS = (OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.error)


def free_ports(count: int) -> list[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class Server:
    """`mailstack serve` on a data folder; start, kill and start it again."""

    def __init__(
        self,
        folder: Path,
        data: Path | None = None,
        *,
        users: tuple[str, ...] = ("alice", "bob"),
        smarthost: int | None = None,
        domain: str = DOMAIN,
        settings: str = "",
        relay: str = "",
        ports: dict[str, int] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.data = data or folder / "data"
        names = ("smtp", "submission", "submissions", "imap", "imaps", "http")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True)) | (ports or {})
        listeners = "\n".join(f'{name} = ["127.0.0.1:{port}"]' for name, port in self.ports.items())
        self.domain = domain
        relay = relay or (f'smarthost = "smtp://127.0.0.1:{smarthost}"' if smarthost else "")
        self.configuration = folder / "mailstack.toml"
        self.configuration.write_text(
            f'hostname = "mail.{domain}"\ndata_dir = "{self.data}"\npostmaster = "alice@{domain}"\n[listen]\n{listeners}\n'
            '[tls]\nmode = "self-signed"\n[auth]\nallow_plaintext = true\n'
            f'[relay]\n{relay}\nretry = ["1s"]\n[log]\nformat = "json"\nlevel = "info"\n{settings}'
        )
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
        self.command = [sys.executable, "-m", "mailstack", "-c", str(self.configuration)]
        self.process: subprocess.Popen[bytes] | None = None
        self.users = users
        self.entry: list[str] = []

    def provision(self) -> None:
        """Make the domain and the accounts, with no server running."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [*self.command, "domain", "add", self.domain], check=True, env=self.environment, stdout=subprocess.DEVNULL
        )
        listing = self.folder / "users.csv"
        rows = "".join(f"{user}@{self.domain},{PASSWORD},,\n" for user in self.users)
        listing.write_text(f"address,password,hash,quota\n{rows}")
        subprocess.run(
            [*self.command, "user", "import", str(listing)], check=True, env=self.environment, stdout=subprocess.DEVNULL
        )

    def start(self, seconds: float = 20.0) -> float:
        """Start and wait until IMAP and SMTP greet; the seconds that took."""
        begun = time.monotonic()
        command = [*self.entry, "serve"] if self.entry else [*self.command, "serve"]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, close_fds=not self.entry)
        for name in ("smtp", "imap"):
            self.wait_for(name, begun + seconds)
        return time.monotonic() - begun

    def wait_for(self, name: str, end: float) -> None:
        assert self.process is not None
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.ports[name]), timeout=2) as connection:
                    if connection.recv(64):
                        return
            except OSError:
                pass
            if self.process.poll() is not None:
                raise RuntimeError(f"server ended with {self.process.returncode}: {self.log_tail()}")
            if time.monotonic() > end:
                raise TimeoutError(self.log_tail())
            threading.Event().wait(0.02)

    def log_tail(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Events of the log whose names begin so."""
        lines = (self.folder / "log").read_bytes().splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"\n")]
        return [event for event in found if event["event"].startswith(name)]

    def wait_for_event(self, name: str, seen: int = 0, seconds: float = 20.0) -> dict[str, Any]:
        """The event after `seen` of its kind, as soon as it is there."""
        end = time.monotonic() + seconds
        while True:
            found = self.events(name)
            if len(found) > seen:
                return found[seen]
            if time.monotonic() > end:
                raise TimeoutError(f"no event {name}: {self.log_tail()}")
            threading.Event().wait(0.01)

    def kill(self) -> None:
        """kill -9, as a proper way to stop."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()

    def run(self, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command, as an admin types it."""
        return subprocess.run(
            [*self.command, *arguments], env=self.environment, capture_output=True, text=True, input=stdin, check=check
        )

    def smtp(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.ports["smtp"], timeout=20)

    def submission(self, user: str) -> smtplib.SMTP:
        client = smtplib.SMTP("127.0.0.1", self.ports["submission"], timeout=20)
        client.login(f"{user}@{self.domain}", PASSWORD)
        return client

    def imap(self, user: str) -> imaplib.IMAP4:
        connection = imaplib.IMAP4("127.0.0.1", self.ports["imap"], timeout=20)
        connection.login(f"{user}@{self.domain}", PASSWORD)
        return connection


@dataclass
class Ledger:
    """What clients were told. Tokens name messages; one token must never be lost once it is in `acknowledged`."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    acknowledged: set[str] = field(default_factory=set)
    delivered: set[str] = field(default_factory=set)
    relayed: set[str] = field(default_factory=set)
    expunged: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    moved: dict[str, str] = field(default_factory=dict)
    highest_uid: dict[tuple[str, int], int] = field(default_factory=dict)
    uids: dict[tuple[str, int, int], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def saw_uid(self, mailbox: str, uid_validity: int, uid: int, token: str) -> None:
        """A UID names one message for ever."""
        with self.lock:
            known = self.uids.setdefault((mailbox, uid_validity, uid), token)
            if known != token:
                self.problems.append(f"UID {uid} of {mailbox} was {known}, is now {token}")
            key = (mailbox, uid_validity)
            self.highest_uid[key] = max(self.highest_uid.get(key, 0), uid)


def mail(token: str, size: int = 2000) -> bytes:
    body = ("x" * 70 + "\r\n") * (size // 72)
    return (
        f"From: sender@far.test\r\nTo: alice@{DOMAIN}\r\nSubject: {token}\r\nMessage-ID: <{token}@far.test>\r\n\r\n{body}"
    ).encode()


class Load:
    """Clients in threads: deliveries, submissions, APPEND, MOVE and EXPUNGE; what is answered goes into the ledger."""

    def __init__(self, server: Server, ledger: Ledger, seed: int, *, relay: bool = False) -> None:
        self.server = server
        self.ledger = ledger
        self.random = random.Random(seed)
        self.seed = seed
        self.stop = threading.Event()
        # A token is never used for a second attempt: the first may have arrived without an answer.
        self.numbers = itertools.count(1)
        jobs = [self.deliver, self.append, self.move_and_expunge]
        if relay:
            jobs.append(self.submit)
        self.threads = [threading.Thread(target=self.forever, args=(job,), daemon=True) for job in jobs]

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(30)

    def forever(self, job: Callable[[], Iterator[None]]) -> None:
        while not self.stop.is_set():
            with contextlib.suppress(*NETWORK_PROBLEMS):
                for _ in job():
                    if self.stop.is_set():
                        return
            self.stop.wait(0.01)

    def deliver(self) -> Iterator[None]:
        with smtplib.SMTP("127.0.0.1", self.server.ports["smtp"], timeout=10) as client:
            while True:
                number = next(self.numbers)
                token = f"d{self.seed}-{number}"
                with self.ledger.lock:
                    self.ledger.doubtful.add(token)
                client.sendmail("sender@far.test", [f"alice@{DOMAIN}"], mail(token))
                with self.ledger.lock:
                    self.ledger.acknowledged.add(token)
                    self.ledger.delivered.add(token)
                yield

    def submit(self) -> Iterator[None]:
        with smtplib.SMTP("127.0.0.1", self.server.ports["submission"], timeout=10) as client:
            client.ehlo()
            client.login(f"bob@{DOMAIN}", PASSWORD)
            while True:
                number = next(self.numbers)
                token = f"r{self.seed}-{number}"
                data = mail(token).replace(b"From: sender@far.test", f"From: bob@{DOMAIN}".encode())
                client.sendmail(f"bob@{DOMAIN}", ["someone@far.test"], data)
                with self.ledger.lock:
                    self.ledger.relayed.add(token)
                yield

    def append(self) -> Iterator[None]:
        connection = self.server.imap("bob")
        try:
            while True:
                number = next(self.numbers)
                token = f"a{self.seed}-{number}"
                with self.ledger.lock:
                    self.ledger.doubtful.add(token)
                answer, data = connection.append("Archive", None, None, mail(token))
                if answer == "OK":
                    found = re.search(rb"APPENDUID (\d+) (\d+)", data[0])
                    if found:
                        self.ledger.saw_uid("Archive", int(found[1]), int(found[2]), token)
                    with self.ledger.lock:
                        self.ledger.acknowledged.add(token)
                yield
        finally:
            connection.shutdown()

    def move_and_expunge(self) -> Iterator[None]:
        connection = self.server.imap("bob")
        try:
            while True:
                number = next(self.numbers)
                token = f"m{self.seed}-{number}"
                with self.ledger.lock:
                    self.ledger.doubtful.add(token)
                connection.append("INBOX", None, None, mail(token, 300))
                with self.ledger.lock:
                    self.ledger.acknowledged.add(token)
                connection.select("INBOX")
                uid = connection.uid("SEARCH", "HEADER", "Subject", token)[1][0].split()[-1].decode()
                if number % 2:
                    answer, _ = connection.uid("MOVE", uid, "Trash")
                    if answer == "OK":
                        with self.ledger.lock:
                            self.ledger.moved[token] = "Trash"
                else:
                    with self.ledger.lock:
                        self.ledger.acknowledged.discard(token)
                    connection.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
                    answer, _ = connection.expunge()
                    if answer == "OK":
                        with self.ledger.lock:
                            self.ledger.expunged.add(token)
                yield
        finally:
            connection.shutdown()


def contents(server: Server, user: str, ledger: Ledger) -> dict[str, list[str]]:
    """Token -> the mailboxes that hold it, once a copy; UIDs are written to the ledger on the way."""
    found: dict[str, list[str]] = {}
    connection = server.imap(user)
    try:
        for mailbox in ("INBOX", "Archive", "Trash"):
            connection.select(mailbox, readonly=True)
            uid_validity = int((connection.response("UIDVALIDITY")[1][0] or b"0").decode())
            _, data = connection.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            for piece in data:
                if isinstance(piece, tuple):
                    token = piece[1].decode().partition("Subject: ")[2].strip()
                    uid = int(re.search(rb"UID (\d+)", piece[0] + b" ")[1])  # type: ignore[index]
                    found.setdefault(token, []).append(mailbox)
                    ledger.saw_uid(f"{user}/{mailbox}" if user != "bob" else mailbox, uid_validity, uid, token)
    finally:
        connection.logout()
    return found


def verify(server: Server, ledger: Ledger) -> dict[str, list[str]]:
    """Hold what IMAP shows against what was promised."""
    found = contents(server, "alice", ledger)
    for token, places in contents(server, "bob", ledger).items():
        found.setdefault(token, []).extend(places)
    lost = sorted(ledger.acknowledged - found.keys())
    assert not lost, f"acknowledged and lost: {lost[:10]} ({len(lost)})"
    twice = {token: places for token, places in found.items() if len(places) > 1}
    assert not twice, f"there more than once: {twice}"
    back = sorted(ledger.expunged & found.keys())
    assert not back, f"expunged and back: {back[:10]}"
    misplaced = {token: found[token] for token, place in ledger.moved.items() if found.get(token) != [place]}
    assert not misplaced, f"moved, but not there: {misplaced}"
    assert not ledger.problems, ledger.problems[:5]
    return found
