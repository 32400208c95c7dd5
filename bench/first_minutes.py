"""From an empty machine: how many commands, and how long, until a mail that was sent is read, and until the server is public.

`python -m bench.first_minutes`: a fresh copy of this checkout without its environment, so the packages are fetched, too. The
DNS and the authority for certificates (Debian's pebble) are real servers on loopback. As root it all has a network of its own
and moves to the ordinary ports; else ports are free ones, and stay (--keep-listeners).
"""

import contextlib
import imaplib
import os
import re
import shutil
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

from mailstack.cli.demo import ORDINARY_PORTS, TRIAL_PORTS, demo_config
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

    def __init__(self, folder: Path, spent: float) -> None:
        """`spent`: seconds that went by before."""
        self.folder = folder
        self.commands: list[str] = []
        self.begun = time.monotonic() - spent

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


def copy(folder: Path) -> None:
    """What is committed."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)


def prepare(folder: Path, dns: DnsServer, pebble: Pebble, ports: dict[str, int]) -> None:
    """Settings that differ from the trial's in ports, name server and authority alone."""
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


def measure(folder: Path, spent: float, ports: dict[str, int], public: dict[str, int], *keep: str) -> None:
    """`public`: the ports of the real server; `keep`: what go-public is told of them."""
    with contextlib.ExitStack() as stack:
        dns = stack.enter_context(DnsServer({name: dict(kinds) for name, kinds in ZONES.items()}))
        dns.keys["mail."] = SECRET
        authority = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pebble = stack.enter_context(Pebble(authority, dns.port, public["http"], public["https"]))
        prepare(folder, dns, pebble, ports)
        shell = Shell(folder, spent)
        server = shell.start("make", "run")
        stack.callback(server.send_signal, signal.SIGTERM)
        passwords = wait_for_accounts(server)
        send_and_read(ports, passwords, unverified(), "home.test")
        print(f"a mail that was sent is read: {len(shell.commands)} command, {shell.seconds:.0f} s", flush=True)
        before = shell.seconds
        mailstack = (".venv/bin/mailstack", "-c", "var/mailstack.toml")
        place = (*keep, "--address", "127.0.0.1", "--server", f"127.0.0.1:{dns.port}")
        shell.run(*mailstack, "go-public", "real.test", *place)
        context = ssl.create_default_context(cadata=pebble.root())
        context.check_hostname = False  # it is asked for as 127.0.0.1
        send_and_read(public, passwords, context, "real.test")
        print(
            f"a public server, DNS and certificate right: {len(shell.commands)} commands, {shell.seconds - before:.0f} s more"
        )
        for command in shell.commands:
            print(f"  {command}")


def in_a_network_of_its_own(folder: Path) -> None:
    """The packages come from outside; what follows has all ports for itself."""
    begun = time.monotonic()
    subprocess.run(["make", ".venv"], cwd=folder, check=True, capture_output=True)
    inside = (sys.executable, "-m", "bench.first_minutes", str(folder), str(time.monotonic() - begun))
    subprocess.run(["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *inside], cwd=ROOT, check=True)


def main() -> None:
    if len(sys.argv) > 2:
        measure(Path(sys.argv[1]), float(sys.argv[2]), TRIAL_PORTS, ORDINARY_PORTS)
        return
    with tempfile.TemporaryDirectory(prefix="mailstack-first-") as name:
        copy(Path(name))
        if os.geteuid() == 0 and shutil.which("unshare"):
            in_a_network_of_its_own(Path(name))
        else:
            ports = dict(zip(TRIAL_PORTS, free_ports(len(TRIAL_PORTS)), strict=True))
            measure(Path(name), 0.0, ports, ports, "--keep-listeners")


if __name__ == "__main__":
    main()
