"""From an empty machine: how many commands, and how long, until a mail that was sent is read, and until the server is public.

`python -m bench.first_minutes`: a fresh copy of this checkout without its environment, so the packages are fetched, too. The
DNS and the authority for certificates (Debian's pebble) are real servers on loopback; ports are free ones, not 25 and its like.
"""

import contextlib
import imaplib
import re
import signal
import smtplib
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import msgspec

from mailstack.cli.demo import TRIAL_PORTS, demo_config
from mailstack.config import Acme, Dns, Listen, render
from tests.support.dnsserver import DnsServer
from tests.support.pebble import Pebble
from tests.support.server import free_ports

ROOT = Path(__file__).parents[1]
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"  # of the name server's TSIG key
SOA = ["ns.real.test. hostmaster.real.test. 1 3600 600 86400 60"]
ZONES = {
    "real.test": {"SOA": SOA},
    "127.in-addr.arpa": {"SOA": SOA},
    "1.0.0.127.in-addr.arpa": {"PTR": ["mail.real.test."]},
}


class Shell:
    """What an admin types, counted and timed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: list[str] = []
        self.begun = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begun

    def start(self, *command: str) -> "subprocess.Popen[str]":
        self.commands.append(" ".join(command))
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *command: str) -> str:
        self.commands.append(" ".join(command))
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return done.stdout


def prepare(folder: Path, dns: DnsServer, pebble: Pebble, ports: dict[str, int]) -> None:
    """A copy of what is committed, and settings that differ from the trial's in ports, name server and authority alone."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    (folder / "var").mkdir(mode=0o700)
    (folder / "key").write_text(f"mail:{SECRET}")
    server = f"127.0.0.1:{dns.port}"
    config = msgspec.structs.replace(
        demo_config(folder / "var"),
        listen=Listen(**{name: [f"127.0.0.1:{port}"] for name, port in ports.items()}),
        dns=Dns(nameservers=[server], update_server=server, update_key_file=str(folder / "key")),
        acme=Acme(directory=pebble.url, ca_file=str(pebble.ca)),
    )
    (folder / "var" / "mailstack.toml").write_text(render(config))


def wait_for_accounts(run: "subprocess.Popen[str]") -> dict[str, str]:
    """The passwords that the trial shows once; its further words are read by a thread."""
    assert run.stdout is not None
    found: dict[str, str] = {}
    for line in run.stdout:
        if match := re.match(r"\s+(\w+@home\.test)\s+(\S+)$", line):
            found[match[1]] = match[2]
        if "Everything works" in line:
            threading.Thread(target=run.stdout.read, daemon=True).start()
            return found
    sys.exit("the trial ended")


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def send_and_read(ports: dict[str, int], passwords: dict[str, str], context: ssl.SSLContext, domain: str) -> None:
    """Alice writes, Bob reads."""
    with smtplib.SMTP_SSL("127.0.0.1", ports["submissions"], context=context) as client:
        client.login(f"alice@{domain}", passwords["alice@home.test"])
        text = f"From: alice@{domain}\r\nSubject: first {domain}\r\n\r\nhello\r\n"
        client.sendmail(f"alice@{domain}", [f"bob@{domain}"], text)
    reader = imaplib.IMAP4_SSL("127.0.0.1", ports["imaps"], ssl_context=context)
    reader.login(f"bob@{domain}", passwords["bob@home.test"])
    reader.select("INBOX")
    numbers = reader.search(None, "SUBJECT", f'"first {domain}"')[1][0].split()
    assert numbers, "the mail is not there"
    reader.fetch(numbers[0].decode(), "(BODY[])")
    reader.logout()


def main() -> None:
    ports = dict(zip(TRIAL_PORTS, free_ports(len(TRIAL_PORTS)), strict=True))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailstack-first-")))
        dns = stack.enter_context(DnsServer({name: dict(kinds) for name, kinds in ZONES.items()}))
        dns.keys["mail."] = SECRET
        authority = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pebble = stack.enter_context(Pebble(authority, dns.port, ports["http"], ports["https"]))
        prepare(folder, dns, pebble, ports)
        shell = Shell(folder)
        server = shell.start("make", "run")
        stack.callback(server.send_signal, signal.SIGTERM)
        passwords = wait_for_accounts(server)
        send_and_read(ports, passwords, unverified(), "home.test")
        print(f"a mail that was sent is read: {len(shell.commands)} command, {shell.seconds:.0f} s", flush=True)
        before = shell.seconds
        mailstack = (".venv/bin/mailstack", "-c", "var/mailstack.toml")
        place = ("--keep-listeners", "--address", "127.0.0.1", "--server", f"127.0.0.1:{dns.port}")
        shell.run(*mailstack, "go-public", "real.test", *place)
        context = ssl.create_default_context(cadata=pebble.root())
        context.check_hostname = False  # it is asked for as 127.0.0.1
        send_and_read(ports, passwords, context, "real.test")
        print(
            f"a public server, DNS and certificate right: {len(shell.commands)} commands, {shell.seconds - before:.0f} s more"
        )
        for command in shell.commands:
            print(f"  {command}")


if __name__ == "__main__":
    main()
