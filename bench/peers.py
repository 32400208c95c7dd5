"""The servers under test, each started on loopback with its own folder: mailstack, and Postfix + Dovecot in several set-ups."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PASSWORD = "correct horse battery staple"
DOMAIN = "a.test"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int, seconds: float = 20.0) -> None:
    """Return when something listens on the port."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


@dataclass
class Server:
    """A running server: its ports, where an account's Maildir is, and how to find its processes."""

    name: str
    folder: Path
    imap: int
    imaps: int
    smtp: int
    submission: int
    root_pids: list[int] = field(default_factory=list)
    restart_imap: object = None
    submission_login: bool = False
    exists_delays: list[float] | None = None

    def maildir(self, user: str) -> Path:
        raise NotImplementedError

    def pids(self) -> list[int]:
        """The server's processes with all their children."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, IndexError, ValueError):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    children.setdefault(parent, []).append(int(entry.name))
        found: list[int] = []
        todo = list(self.root_pids)
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo.extend(children.get(pid, []))
        return found

    def pss(self) -> int:
        """Memory of all processes, octets, shared pages divided."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total


@dataclass
class Mailstack(Server):
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)  # the last one runs

    def maildir(self, user: str) -> Path:
        return self.folder / "data" / "mail" / DOMAIN / user / "Maildir"


class PostfixDovecot(Server):
    def maildir(self, user: str) -> Path:
        return self.folder / "mail" / user / "Maildir"


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def mailstack(
    folder: Path,
    users: list[str],
    relay_port: int | None = None,
    prepare: object = None,
    *,
    signs: bool = False,
    more: str = "",
) -> Iterator[Server]:
    """A mailstack server of this checkout with `users` of a.test. `signs`: with the DKIM keys that a domain has by default.

    Mail that comes in is judged only where `more` says by what: no peer of the other rows does.
    """
    folder.mkdir(parents=True)
    ports = {name: free_port() for name in ("smtp", "submission", "submissions", "imap", "imaps", "managesieve", "http")}
    listeners = "\n".join(f'{name} = ["127.0.0.1:{port}"]' for name, port in ports.items())
    relay = f'[relay]\nsmarthost = "smtp://127.0.0.1:{relay_port}"\n' if relay_port else ""
    configuration = folder / "mailstack.toml"
    configuration.write_text(
        f'hostname = "mail.{DOMAIN}"\ndata_dir = "{folder}/data"\npostmaster = "{users[0]}@{DOMAIN}"\n'
        f'[listen]\n{listeners}\nhttps = []\n[tls]\nmode = "self-signed"\n[auth]\nallow_plaintext = true\n{relay}'
        '[log]\nformat = "json"\nlevel = "warning"\n[limits]\nconnections_per_address = 20000\nconnections = 20000\n'
        "[sending]\nmessages_per_hour = 0\nmessages_per_day = 0\nnew_recipients_per_day = 0\nstop_at_new_recipients = 0\n"
        "domain_messages_per_hour = 0\ndomain_messages_per_day = 0\ndomain_new_recipients_per_day = 0\n"
        + (more or "[authentication]\ncheck = false\n[spam]\njudge = false\n")
    )
    command = [sys.executable, "-m", "mailstack", "-c", str(configuration)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([*command, "domain", "add", DOMAIN], check=True, env=environment, stdout=subprocess.DEVNULL)
    if not signs:
        shutil.rmtree(folder / "data" / "dkim" / DOMAIN)
    csv = folder / "users.csv"
    csv.write_text("address,password,hash,quota\n" + "".join(f"{user}@{DOMAIN},{PASSWORD},,\n" for user in users))
    subprocess.run([*command, "user", "import", str(csv)], check=True, env=environment, stdout=subprocess.DEVNULL)
    server = Mailstack("mailstack", folder, ports["imap"], ports["imaps"], ports["smtp"], ports["submission"])
    server.submission_login = True
    if callable(prepare):
        prepare(server)
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([*command, "serve"], env=environment, stdout=log, stderr=log)
    server.root_pids = [process.pid]
    server.command, server.environment, server.processes = [*command, "serve"], environment, [process]
    try:
        for port in ports.values():
            wait_for(port)
        yield server
    finally:
        stop(server.processes[-1])


DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_cache_size = 10M
auth_cache_ttl = 1 hour
mail_location = maildir:~/Maildir
first_valid_uid = 1
mail_max_userip_connections = 20000
default_client_limit = 20000
default_process_limit = 2000
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/passwd
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/mail/%n
}}
namespace inbox {{
  inbox = yes
  separator = /
}}
protocol lmtp {{
  postmaster_address = postmaster@a.test
}}
service imap-login {{
  {login}
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service imap {{
  {imap_service}
}}
service lmtp {{
  process_min_avail = 4
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
{more}
"""

TUNED_LOGIN = "service_count = 0\n  process_min_avail = 2\n  client_limit = 20000\n  vsz_limit = 1G"
TUNED_IMAP = """service_count = 10000
  process_min_avail = 4
  client_limit = 1
  vsz_limit = 4G
  unix_listener imap-master {
    user = dovecot
  }
  extra_groups = dovecot"""
HIBERNATE = "imap_hibernate_timeout = 5s\nservice imap-hibernate {\n  unix_listener imap-hibernate {\n    mode = 0666\n  }\n}"

POSTFIX_MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/postfix-data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.a.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = {folder}/log/postfix.log
maillog_file_prefixes = {folder}
virtual_mailbox_domains = a.test
virtual_mailbox_maps = static:all
virtual_mailbox_base = {folder}/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:8
virtual_gid_maps = static:8
virtual_transport = {transport}
relayhost = {relayhost}
smtp_tls_security_level = none
smtpd_tls_security_level = none
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_peername_lookup = no
smtp_host_lookup = native
default_process_limit = 200
default_destination_concurrency_limit = 20
virtual_destination_recipient_limit = 1
"""

POSTFIX_MASTER = """
127.0.0.1:{smtp} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def certificate(folder: Path) -> None:
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=mail.a.test",
            "-keyout",
            str(folder / "key.pem"),
            "-out",
            str(folder / "cert.pem"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@contextlib.contextmanager
def postfix_dovecot(
    folder: Path,
    users: list[str],
    *,
    tuned: bool = True,
    hibernate: bool = False,
    lmtp: bool = False,
    relay_port: int | None = None,
    prepare: object = None,
    postfix: bool = True,
    milter: int | None = None,
) -> Iterator[Server]:
    """Debian's Postfix in front of Debian's Dovecot, sharing Maildirs."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    for name in ("run", "state", "mail", "log", "postfix-data"):
        (folder / name).mkdir()
    shutil.chown(folder / "mail", "mail", "mail")
    shutil.chown(folder / "postfix-data", "postfix", "postfix")
    ports = {name: free_port() for name in ("smtp", "imap", "imaps", "lmtp")}
    certificate(folder)
    # A plain password costs Dovecot the least; our side keeps a proof of an Argon2id hash once verified.
    secret = "{PLAIN}" + PASSWORD
    (folder / "passwd").write_text("".join(f"{user}@{DOMAIN}:{secret}\n" for user in users))
    (folder / "dovecot.conf").write_text(
        DOVECOT.format(
            folder=folder,
            login=TUNED_LOGIN if tuned else "",
            imap_service=TUNED_IMAP if tuned else "process_limit = 2000",
            more=HIBERNATE if hibernate else "",
            **{key: ports[key] for key in ("imap", "imaps", "lmtp")},
        )
    )
    name = "dovecot " + ("hibernated" if hibernate else "tuned" if tuned else "stock")
    server = PostfixDovecot(
        ("postfix+" if postfix else "") + name + (" lmtp" if lmtp else ""),
        folder,
        ports["imap"],
        ports["imaps"],
        ports["smtp"],
        ports["smtp"],
    )
    if callable(prepare):
        prepare(server)
        subprocess.run(["chown", "-R", "mail:mail", str(folder / "mail")], check=True)
    dovecot = subprocess.Popen(["dovecot", "-F", "-c", str(folder / "dovecot.conf")], stdout=subprocess.DEVNULL)
    server.root_pids = [dovecot.pid]
    config = folder / "postfix"
    try:
        for port in ("imap", "imaps", "lmtp"):
            wait_for(ports[port])
        if postfix:
            config.mkdir()
            transport = f"lmtp:inet:127.0.0.1:{ports['lmtp']}" if lmtp else "virtual"
            relayhost = f"[127.0.0.1]:{relay_port}" if relay_port else ""
            main = POSTFIX_MAIN.format(folder=folder, transport=transport, relayhost=relayhost)
            if not lmtp:
                (config / "virtual").write_text("".join(f"{user}@{DOMAIN} {user}/Maildir/\n" for user in users))
                subprocess.run(
                    ["postmap", f"hash:{config}/virtual"], check=True, env={**os.environ, "MAIL_CONFIG": "/etc/postfix"}
                )
                main = main.replace("static:all", f"hash:{config}/virtual")
            if milter is not None:
                main += f"smtpd_milters = inet:127.0.0.1:{milter}\nmilter_default_action = tempfail\n"
            (config / "main.cf").write_text(main)
            (config / "master.cf").write_text(POSTFIX_MASTER.format(smtp=ports["smtp"]))
            (folder / "queue").mkdir()
            subprocess.run(
                ["postfix", "-c", str(config), "start"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            wait_for(ports["smtp"])
            server.root_pids.append(int((folder / "queue/pid/master.pid").read_text().split()[0]))
        yield server
    finally:
        if postfix:
            subprocess.run(["postfix", "-c", str(config), "stop"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stop(dovecot)


class Sink(asyncio.Protocol):
    """A receiving host that accepts everything as fast as it can, and counts."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""
        self.data = False
        transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        out = []
        while self.buffer:
            if self.data:
                end = self.buffer.find(b"\r\n.\r\n")
                if end < 0:
                    self.buffer = self.buffer if len(self.buffer) < 1 << 20 else self.buffer[-5:]
                    break
                self.buffer = self.buffer[end + 5 :]
                self.data = False
                type(self).count += 1
                out.append(b"250 2.0.0 Ok\r\n")
                continue
            line, found, rest = self.buffer.partition(b"\r\n")
            if not found:
                break
            self.buffer = rest
            verb = line[:4].upper()
            if verb == b"EHLO":
                out.append(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 100000000\r\n250 ENHANCEDSTATUSCODES\r\n")
            elif verb == b"DATA":
                self.data = True
                out.append(b"354 go\r\n")
            elif verb == b"QUIT":
                out.append(b"221 2.0.0 bye\r\n")
                self.transport.write(b"".join(out))
                self.transport.close()
                return
            else:
                out.append(b"250 2.0.0 Ok\r\n")
        if out:
            self.transport.write(b"".join(out))
