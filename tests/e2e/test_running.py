"""Running and stopping: told when ready, answers what is under way, says goodbye, leaves nothing behind."""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.app.appliance import RUNNER_STOP_SECONDS
from mailstack.app.doors import STOP_SECONDS, WEB_STOP_SECONDS
from mailstack.cli.reaching import has_ipv6
from mailstack.net.serving import LAST_SECONDS
from tests.support.server import PASSWORD, ROOT, Server, free_ports


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server of its own, not started yet."""
    one = Server(tmp_path, users=("alice",))
    one.provision()
    yield one
    one.kill()


def lines(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while block := connection.recv(65536):
            found += block
    return found


def read_until(connection: socket.socket, sign: bytes) -> bytes:
    found = b""
    while sign not in found:
        block = connection.recv(65536)
        assert block, found
        found += block
    return found


def test_systemd_is_told_and_the_log_frames_it(own: Server, tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(20)
        own.environment["NOTIFY_SOCKET"] = str(address)
        own.start()
        assert manager.recv(100) == b"READY=1"
        # Whoever is told finds every listener open.
        for name, port in own.ports.items():
            with socket.create_connection(("127.0.0.1", port), timeout=20):
                assert name
        ready = own.wait_for_event("ready")
        assert ready["ports"] == {name: [port] for name, port in own.ports.items()}
        assert own.process is not None
        own.process.terminate()
        assert manager.recv(100) == b"STOPPING=1"
        assert own.process.wait(60) == 0
    events = [json.loads(line)["event"] for line in (own.folder / "log").read_bytes().splitlines()]
    assert events[0] == "ready"
    assert events[-2:] == ["stopping", "stopped"]
    assert not (own.data / "control.sock").exists()


def test_a_stop_answers_what_is_under_way_and_says_goodbye(own: Server) -> None:
    own.start()
    idle = own.imap("alice")
    idle.select("INBOX")
    idle.send(b"i IDLE\r\n")
    idle.readline()
    with (
        socket.create_connection(("127.0.0.1", own.ports["smtp"]), timeout=20) as waiting,
        socket.create_connection(("127.0.0.1", own.ports["smtp"]), timeout=20) as sending,
    ):
        read_until(waiting, b"\r\n")
        sending.sendall(b"EHLO x\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<alice@a.test>\r\nDATA\r\n")
        read_until(sending, b"354 ")
        sending.sendall(b"Subject: at the last moment\r\n\r\n")
        assert own.process is not None
        own.process.terminate()
        assert lines(waiting).startswith(b"421 4.3.2")
        while not (line := idle.readline()).startswith(b"* BYE"):
            assert line
        # The one under way may end, and is answered.
        sending.sendall(b".\r\n")
        assert b"250 2.0.0 Ok: queued as" in lines(sending)
        assert own.process.wait(60) == 0
    idle.shutdown()
    own.start()
    imap = own.imap("alice")
    imap.select("INBOX")
    assert imap.search(None, "SUBJECT", '"at the last moment"')[1] == [b"1"]
    imap.logout()
    # Who asks again and again, up to its end, changes nothing.
    for number in itertools.cycle((signal.SIGINT, signal.SIGTERM)):
        if own.process.poll() is not None:
            break
        own.process.send_signal(number)
        threading.Event().wait(0.002)
    assert own.process.returncode == 0


def test_a_stop_ends_within_ten_seconds_whoever_hangs(own: Server) -> None:
    """A client in the middle of a message that never ends, one that never reads, one that never finishes a handshake."""
    own.start()
    with contextlib.ExitStack() as stack:
        for name, words in (
            ("smtp", b"EHLO x\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<alice@a.test>\r\nDATA\r\nhalf a line"),
            ("imap", b"a LOGIN alice@a.test {10000+}\r\n"),
            ("imaps", b"\x16\x03\x01"),
            ("submissions", b""),
            ("http", b"GET /"),
        ):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", own.ports[name]), timeout=20))
            connection.sendall(words)
        control = stack.enter_context(socket.socket(socket.AF_UNIX))
        control.connect(str(own.data / "control.sock"))
        assert own.process is not None
        own.process.terminate()
        assert own.process.wait(60) == 0
    assert own.wait_for_event("stopped")
    # What each of them is given: with what the end itself takes, less than ten seconds.
    assert max(STOP_SECONDS, LAST_SECONDS) + WEB_STOP_SECONDS + RUNNER_STOP_SECONDS < 10


def test_sockets_that_systemd_opened_are_served(own: Server) -> None:
    """LISTEN_FDS with names; what has no name there is opened as configured."""
    given = {name: socket.create_server(("127.0.0.1", 0)) for name in ("imap", "smtp")}
    code = (
        "import os, sys\n"
        "descriptors = sys.argv[1].split(',')\n"
        "for number, descriptor in enumerate(descriptors):\n"
        "    os.dup2(int(descriptor), 3 + number, inheritable=True)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(descriptors)), LISTEN_FDNAMES=sys.argv[2])\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[3:]])\n"
    )

    copies: list[int] = []

    def entry(names: str) -> list[str]:
        # High numbers, so that 3 and 4 are free to be taken.
        descriptors = [_high(given[name].fileno()) for name in given]
        copies.extend(descriptors)
        return [sys.executable, "-c", code, ",".join(map(str, descriptors)), names, *own.command[1:]]

    configured = own.configuration.read_text()
    assert str(own.ports["smtp"]) in configured
    own.entry = entry("imap:smtp")
    for name in given:
        own.ports[name] = given[name].getsockname()[1]
    own.start()
    try:
        imap = own.imap("alice")
        imap.logout()
        assert own.wait_for_event("ready")["ports"]["smtp"] == [own.ports["smtp"]]
        with own.smtp() as client:
            assert client.ehlo()[0] == 250
        with socket.create_connection(("127.0.0.1", own.ports["imaps"])):
            pass
    finally:
        own.stop()
    # The sockets are the manager's: a connection made meanwhile waits for the next start.
    with socket.create_connection(("127.0.0.1", own.ports["smtp"]), timeout=20) as early:
        own.entry = entry("imap:smtp")
        own.start()
        assert early.recv(100).startswith(b"220 ")
        own.stop()
    own.entry = entry("imap:telnet")
    with pytest.raises(RuntimeError, match="systemd gave a socket named 'telnet'"):
        own.start()
    for one in given.values():
        one.close()
    for copied in copies:
        os.close(copied)


def _high(descriptor: int) -> int:
    import fcntl

    copied = fcntl.fcntl(descriptor, fcntl.F_DUPFD, 50)
    os.set_inheritable(copied, True)
    return copied


def http(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return lines(connection)


def test_healthz_and_what_else_this_port_says(server: Server) -> None:
    port = server.ports["http"]
    green = http(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert green.startswith(b"HTTP/1.1 200 OK\r\n")
    assert green.endswith(b"\r\n\r\nok\n")
    head = http(port, b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert head.endswith(b"\r\n\r\n")
    assert http(port, b"GET /healthz?x=1 HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")
    for path in (b"/.well-known/x", b"/healthz/more"):
        other = http(port, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert other.startswith(b"HTTP/1.1 404")
    assert http(port, b"POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 405")
    for garbage in (b"\r\n\r\n", b"\xff\r\n\r\n", b"GET\r\n\r\n", b"x" * 20000):
        assert b"Traceback" not in http(port, garbage)


def test_healthz_is_red_while_it_stops(own: Server) -> None:
    own.start()
    port = own.ports["http"]
    with socket.create_connection(("127.0.0.1", own.ports["smtp"]), timeout=20) as sending:
        sending.sendall(b"EHLO x\r\nMAIL FROM:<s@far.test>\r\nRCPT TO:<alice@a.test>\r\nDATA\r\n")
        read_until(sending, b"354 ")
        assert own.process is not None
        own.process.terminate()
        own.wait_for_event("stopping")
        assert http(port, b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 503")
        assert own.run("health", check=False).returncode == 1
        sending.sendall(b".\r\n")
        assert own.process.wait(60) == 0


# The demo -----------------------------------------------------------------------------------------------------------


class Demo:
    """`mailstack demo` on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = ""

    def __enter__(self) -> "Demo":
        command = [sys.executable, "-m", "mailstack", "demo", "--data", str(self.folder)]
        self.process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        return self

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line

    def wait_for(self, words: str, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while words not in self.output:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < end, self.output
            threading.Event().wait(0.05)

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.reader.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def test_the_demo_proves_itself_stops_cleanly_and_finds_its_mail_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On 127.0.0.1 and, where there is one, on ::1."""
    from mailstack.cli import demo as demo_command
    from mailstack.config import render

    ports = dict(zip(demo_command.TRIAL_PORTS, free_ports(len(demo_command.TRIAL_PORTS)), strict=True))
    monkeypatch.setattr(demo_command, "TRIAL_PORTS", ports)
    folder = tmp_path / "var"
    folder.mkdir(mode=0o700)
    (folder / "mailstack.toml").write_text(render(demo_command.demo_config(folder)))
    with Demo(folder) as first:
        first.wait_for("Everything works")
        passwords = dict(re.findall(r"^ +(alice|bob)@home\.test +(\S+)$", first.output, re.MULTILINE))
        assert set(passwords) == {"alice", "bob"}
        assert len(re.findall(r" ms$", first.output, re.MULTILINE)) == 5
        for host in ["127.0.0.1", *(["::1"] if has_ipv6() else [])]:
            with socket.create_connection((host, ports["smtp"]), timeout=20) as connection:
                assert connection.recv(100).startswith(b"220 localhost")
            with socket.create_connection((host, ports["imap"]), timeout=20) as connection:
                connection.sendall(b"a STARTTLS\r\n")
                assert b"a OK" in read_until(connection, b"a OK")
        import smtplib

        with smtplib.SMTP("127.0.0.1", ports["smtp"]) as client:
            client.sendmail("s@far.test", "alice@home.test", b"Subject: kept\r\n\r\n")
        # Ctrl-C in a terminal reaches all processes of the group.
        os.killpg(first.process.pid, signal.SIGINT)
        assert first.process.wait(60) == 0
    assert "Traceback" not in first.output
    assert "stopped" in first.output
    with Demo(folder) as second:
        second.wait_for("Everything works")
        assert not any(password in second.output for password in passwords.values())
        import imaplib

        imap = imaplib.IMAP4_SSL("127.0.0.1", ports["imaps"])
        imap.login("alice@home.test", passwords["alice"])
        imap.select("INBOX")
        assert imap.search(None, "SUBJECT", "kept")[1] == [b"1"]
        imap.logout()
        # `docker stop` reaches the first process alone.
        second.process.terminate()
        assert second.process.wait(60) == 0
    assert "stopped" in second.output


def test_a_demo_whose_port_is_taken_says_so_and_makes_no_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mailstack.cli import demo as demo_command
    from mailstack.config import render

    ports = dict(zip(demo_command.TRIAL_PORTS, free_ports(len(demo_command.TRIAL_PORTS)), strict=True))
    monkeypatch.setattr(demo_command, "TRIAL_PORTS", ports)
    folder = tmp_path / "var"
    folder.mkdir(mode=0o700)
    (folder / "mailstack.toml").write_text(render(demo_command.demo_config(folder)))
    with socket.create_server(("127.0.0.1", demo_command.TRIAL_PORTS["imap"])), Demo(folder) as one:
        assert one.process.wait(30) == 2
    assert one.output.count("\n") == 1, one.output
    assert "Address already in use" in one.output
    assert sorted(path.name for path in folder.iterdir()) == ["mailstack.toml"]


# The log ------------------------------------------------------------------------------------------------------------


def test_no_password_and_no_body_ever_enters_the_log(tmp_path: Path) -> None:
    """A workload at level debug, with all that goes wrong; each line parses."""
    one = Server(tmp_path, users=("alice",), settings="")
    one.configuration.write_text(one.configuration.read_text().replace('level = "info"', 'level = "debug"'))
    one.provision()
    one.start()
    secret, wrong, body = PASSWORD, "w0ng-passw0rd", "b0dy-w0rds"
    message = f"From: alice@a.test\r\nTo: x@far.test\r\nSubject: s\r\n\r\n{body}\r\n".encode()
    try:
        one.run("user", "passwd", "alice@a.test", "--password-stdin", stdin=f"{secret}\n")
        app_password = one.run("user", "app-password", "add", "alice@a.test", "phone").stdout.strip()
        with one.submission("alice") as client:
            client.sendmail("alice@a.test", ["alice@a.test", "x@far.test"], message)
            with contextlib.suppress(Exception):
                client.sendmail("bob@a.test", ["alice@a.test"], message)
        import smtplib

        for attempt in range(2):
            with smtplib.SMTP("127.0.0.1", one.ports["submission"]) as client, contextlib.suppress(smtplib.SMTPException):
                client.login("alice@a.test", wrong if attempt else app_password)
        with one.smtp() as client, contextlib.suppress(smtplib.SMTPException):
            client.sendmail("s@far.test", "alice@a.test", message.replace(b"\r\n", b"\n\n", 1) + b"\0")
        with socket.create_connection(("127.0.0.1", one.ports["smtp"]), timeout=20) as connection:
            connection.sendall(f"EHLO x\r\nAUTH PLAIN {wrong}\r\n{body}\r\nQUIT\r\n".encode())
            lines(connection)
        imap = one.imap("alice")
        imap.select("INBOX")
        imap.append("INBOX", None, None, message)
        imap.fetch("1", "(BODY[])")
        imap.search(None, "TEXT", body)
        imap.logout()
        with socket.create_connection(("127.0.0.1", one.ports["imap"]), timeout=20) as connection:
            connection.sendall(
                f'a LOGIN alice@a.test "{wrong}"\r\nb LOGIN alice@a.test {secret} {secret}\r\nc LOGOUT\r\n'.encode()
            )
            lines(connection)
        # The disk fails under a delivery: a stack goes to the log.
        spool = one.data / "mail" / "a.test" / "alice" / "Maildir" / "tmp"
        spool.rename(spool.with_name("tmp-away"))
        with one.smtp() as client, contextlib.suppress(smtplib.SMTPException):
            client.sendmail("s@far.test", "alice@a.test", message)
        spool.with_name("tmp-away").rename(spool)
    finally:
        one.stop()
    log = (one.folder / "log").read_text()
    for line in log.splitlines():
        assert {"event", "level", "timestamp"} <= json.loads(line).keys()
    import base64

    plain = base64.b64encode(f"\0alice@a.test\0{secret}".encode()).decode()
    for word in (secret, wrong, body, app_password, app_password.replace("-", ""), plain):
        assert word not in log, word
    assert '"message.accepted"' in log
    assert '"imap.login_failed"' in log
