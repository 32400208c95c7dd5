"""A server of its own process that a test may kill, clients that write down what was acknowledged, and the check afterwards."""

import contextlib
import fcntl
import functools
import hashlib
import imaplib
import io
import itertools
import json
import os
import random
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from tests.support.zygote import Forked, Zygote

DOMAIN = "a.test"
PASSWORD = "correct horse battery staple"
# Load for a test is no abuse.
UNLIMITED = "[sending]\n" + "".join(
    f"{name} = 0\n"
    for name in (
        "messages_per_hour", "messages_per_day", "new_recipients_per_day", "domain_messages_per_hour",
        "domain_messages_per_day", "domain_new_recipients_per_day", "recipients", "stop_at_new_recipients",
    )
)  # fmt: skip
ROOT = Path(__file__).parents[2]
NETWORK_PROBLEMS = (OSError, EOFError, smtplib.SMTPException, imaplib.IMAP4.error)


TEMPLATES = "MAILSTACK_TEST_TEMPLATES"  # a folder of the test session
FIRST_PORT, PORTS, BLOCK = 12_000, 20_000, 100  # below those that the system gives to clients
_next_port = itertools.count()


@functools.cache
def _own_ports() -> tuple[int, IO[bytes]]:
    """The first of those that no other test process uses while this one lives."""
    folder = Path(tempfile.gettempdir()) / "mailstack-test-ports"
    folder.mkdir(exist_ok=True)
    blocks = list(range(FIRST_PORT, FIRST_PORT + PORTS, BLOCK))
    random.SystemRandom().shuffle(blocks)
    for first in blocks:
        lock = open(folder / str(first), "wb")  # noqa: SIM115 - until the process ends
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return first, lock
        except OSError:
            lock.close()
    raise RuntimeError("no ports are left")


def free_ports(count: int) -> list[int]:
    """They are bound seconds later: nobody else may take them meanwhile."""
    found: list[int] = []
    first, _ = _own_ports()
    while len(found) < count:
        port = first + next(_next_port) % BLOCK
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found


@functools.cache
def zygote() -> Zygote:
    return Zygote()


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
        forked: bool = True,
    ) -> None:
        """`forked`: its processes are copies of one that is loaded already, not started anew."""
        self.folder = folder
        self.data = data or folder / "data"
        names = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "managesieve", "http", "https")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True)) | (ports or {})
        listeners = "\n".join(f'{name} = ["127.0.0.1:{port}"]' for name, port in self.ports.items())
        self.domain = domain
        self.settings = settings
        if "[sending]" not in settings:
            settings = f"{settings}\n{UNLIMITED}"
        relay = relay or (f'smarthost = "smtp://127.0.0.1:{smarthost}"' if smarthost else "")
        self.configuration = folder / "mailstack.toml"
        self.configuration.write_text(
            f'hostname = "mail.{domain}"\ndata_dir = "{self.data}"\npostmaster = "alice@{domain}"\n[listen]\n{listeners}\n'
            '[tls]\nmode = "self-signed"\n[auth]\nallow_plaintext = true\nscram = "on"\n'
            f'[relay]\n{relay}\nretry = ["1s"]\n[log]\nformat = "json"\nlevel = "info"\n{settings}'
        )
        # Without a DNS server of the test's own nobody is asked: what a machine's resolver says is no part of a test.
        asks = "[dns]" in settings or "[authentication]" in settings
        quiet = {} if asks else {"MAILSTACK_AUTHENTICATION__CHECK": "false"}
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "MAILSTACK_WATCH__SELFTEST": "",
            **quiet,
            **(environment or {}),
        }
        self.command = [sys.executable, "-m", "mailstack", "-c", str(self.configuration)]
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.users = users
        self.entry: list[str] = []
        self.forked = forked and not any(name.startswith(("PYTHON", "LD_")) for name in environment or {})

    def provision(self) -> None:
        """Make the domain and the accounts, with no server running. A test session makes the same data once, and copies it."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        templates = os.environ.get(TEMPLATES)
        if templates is None or self.data.exists():
            self._provision()
            return
        matters = self.settings if any(name in self.settings for name in ("[auth", "[dkim", "[database", "[store")) else ""
        sign = hashlib.sha256(repr((self.domain, self.users, matters)).encode()).hexdigest()[:16]
        template = Path(templates) / sign
        with open(f"{template}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not template.exists():
                self._provision()
                shutil.copytree(self.data, template)
                return
        shutil.copytree(template, self.data)

    def _provision(self) -> None:
        listing = self.folder / "users.csv"
        rows = "".join(f"{user}@{self.domain},{PASSWORD},,\n" for user in self.users)
        listing.write_text(f"address,password,hash,quota\n{rows}")
        self.run("domain", "add", self.domain)
        self.run("user", "import", str(listing))

    def start(self, seconds: float = 60.0) -> float:
        """Start and wait until IMAP and SMTP greet; the seconds that took. One that does not get ready is ended."""
        begun = time.monotonic()
        command = [*self.entry, "serve"] if self.entry else [*self.command, "serve"]
        with open(self.folder / "log", "ab") as log:
            if self.forked and not self.entry:
                with open(os.devnull, "rb") as nothing:
                    files = (nothing.fileno(), log.fileno(), log.fileno())
                    self.process = zygote().start(command[3:], self.environment, files)
            else:
                self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, close_fds=not self.entry)
        try:
            for name in ("smtp", "imap"):
                self.wait_for(name, begun + seconds)
        except BaseException:
            self.kill()
            raise
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

    def wait_for_event(self, name: str, seen: int = 0, seconds: float = 60.0) -> dict[str, Any]:
        """The event after `seen` of its kind, as soon as it is there."""
        end = time.monotonic() + seconds
        while True:
            found = self.events(name)
            if len(found) > seen:
                return found[seen]
            if time.monotonic() > end:
                raise TimeoutError(f"no event {name}: {self.log_tail()}")
            threading.Event().wait(0.01)

    def spent(self) -> float:
        """Seconds of processor that it took so far: unlike a clock, this knows nothing of who else is busy."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime and stime

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
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()

    def run(self, *arguments: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command, as an admin types it."""
        command = [*self.command, *arguments]
        if not self.forked:
            return subprocess.run(command, env=self.environment, capture_output=True, text=True, input=stdin, check=check)
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            given.write(stdin.encode())
            given.seek(0)
            process = zygote().start(command[3:], self.environment, (given.fileno(), out.fileno(), errors.fileno()))
            code = process.wait()
            texts = []
            for file in (out, errors):
                file.seek(0)
                texts.append(io.TextIOWrapper(io.BytesIO(file.read())).read())
        done = subprocess.CompletedProcess(command, code, *texts)
        if check:
            done.check_returncode()
        return done

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
