"""Where mail comes from: DKIM beside dkimpy, and messages judged beside Postfix with rspamd, each asking an unbound."""

import contextlib
import itertools
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dkim
import uvloop

from bench.client import Imap, messages_in, send_all
from bench.peers import DOMAIN, Server, free_port, mailstack, postfix_dovecot, stop, wait_for
from mailstack.delivery.signing import digested
from mailstack.mailauth.arc_seal import seal
from mailstack.mailauth.dkim import dns_record, generate, load, sign
from mailstack.mailauth.dkim_verify import Signature, body_hashes, signatures
from mailstack.mailauth.questions import Answer
from mailstack.mailauth.results import Result
from mailstack.mailauth.signed import Fields
from mailstack.message.header import split_header

MOMENT = int(time.time()) - 60
NAME = "s._domainkey.far.test"
WORDS = b"the quick brown fox jumps over a lazy dog and writes long letters home".split()


class World:
    """One key, and mails of 10 KB that it signed and a list sealed."""

    def __init__(self, pem: bytes) -> None:
        self._key = load(pem, "far.test", "s")
        self.record = dns_record(self._key)

    def signed(self, number: int, to: str = "alice@a.test") -> bytes:
        chance = random.Random(number)
        lines = [b" ".join(chance.choices(WORDS, k=12)) for _ in range(150)]
        mail = (
            (
                f"From: Carol <carol@far.test>\r\nTo: <{to}>\r\nSubject: letter {number}\r\nMessage-ID: <{number}@far.test>\r\n"
                "Date: Thu, 26 Nov 2026 00:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
            ).encode()
            + b"\r\n".join(lines)[:10_000]
            + b"\r\n"
        )
        header, digest = digested((mail,))
        return sign(header, digest, [self._key], MOMENT) + mail

    def sealed(self, number: int, to: str) -> bytes:
        mail = self.signed(number, to)
        header, digest = digested((mail,))
        said = b" list.far.test; dmarc=pass header.from=far.test; arc=none"
        return seal(header, digest, self._key, MOMENT, [said]) + mail


def verifications(count: int) -> Callable[[Server], float]:
    """DKIM signatures of 10 KB mails verified a second, the key at hand."""

    def measure(server: Server) -> float:
        world = World(generate("rsa"))
        mails = [world.signed(number) for number in range(50)]
        verify = _dkimpy if server.name == "dkimpy" else _ours
        start = time.perf_counter()
        for mail in itertools.islice(itertools.cycle(mails), count):
            if not verify(mail, world.record):
                raise RuntimeError("a good signature did not verify")
        return count / (time.perf_counter() - start)

    return measure


def _ours(mail: bytes, record: str) -> bool:
    header, body = split_header(mail)
    fields = Fields(header)
    (one,) = (found for found in signatures(fields) if isinstance(found, Signature))
    bodies = body_hashes([one])
    for each in bodies.values():
        each.update(body)
    return one.judge(fields, bodies, Answer((record,)), MOMENT).result is Result.PASS


def _dkimpy(mail: bytes, record: str) -> bool:
    return bool(dkim.verify(mail, dnsfunc=lambda name, timeout=5: record.encode()))


def judged(connections: int, count: int) -> Callable[[Server], float]:
    """Mails a second that are judged by SPF, DKIM, DMARC and ARC and delivered, until IMAP shows all of them."""

    def measure(server: Server) -> float:
        world = World((server.folder / "far.pem").read_bytes())
        users = [f"user{number}" for number in range(10)]
        batch = [
            ("carol@far.test", f"{users[number % 10]}@{DOMAIN}", world.sealed(number, f"{users[number % 10]}@{DOMAIN}"))
            for number in range(count)
        ]
        _send(server, users, connections, batch[:20])  # what is looked up once is not counted
        start = time.perf_counter()
        _send(server, users, connections, batch[20:])
        elapsed = time.perf_counter() - start
        if not _says_pass(server):
            raise RuntimeError("not everything was judged")
        return (count - 20) / elapsed

    return measure


def _send(server: Server, users: list[str], connections: int, batch: list[tuple[str, str, bytes]]) -> None:
    wanted = messages_in(server, users) + len(batch)
    uvloop.run(send_all(server.smtp, connections, batch))
    while messages_in(server, users) < wanted:
        time.sleep(0.005)


def _says_pass(server: Server) -> bool:
    reader = Imap(server.imap)
    reader.login("user0")
    reader.command(b"SELECT INBOX")
    found = reader.command(b"FETCH * BODY.PEEK[HEADER.FIELDS (AUTHENTICATION-RESULTS)]", keep=True)
    reader.close()
    return all(word in found for word in (b"spf=pass", b"dkim=pass", b"dmarc=pass", b"arc=pass"))


UNBOUND = """
server:
  directory: "{folder}"
  chroot: ""
  username: ""
  pidfile: ""
  interface: 127.0.0.1
  port: {port}
  do-daemonize: no
  use-syslog: no
  access-control: 127.0.0.0/8 allow
  local-zone: "." static
{data}
remote-control:
  control-enable: no
"""
RSPAMD = {
    "options.inc": 'dns {{ nameserver = ["127.0.0.1:{dns}"]; timeout = 5s; }}\nlocal_addrs = ["192.0.2.0/24"];\n',
    "worker-proxy.inc": 'bind_socket = "127.0.0.1:{milter}"; milter = yes; timeout = 30s; upstream "local" {{ default = yes; '
    "self_scan = yes; }} count = 2;\n",
    "worker-normal.inc": "enabled = false;\n",
    "worker-controller.inc": "enabled = false;\n",
    "worker-fuzzy.inc": "enabled = false;\n",
    "logging.inc": 'type = "file"; filename = "{folder}/log"; level = "warning";\n',
    **{f"{name}.conf": "check_local = true; check_authed = true;\n" for name in ("spf", "dkim", "dmarc", "arc")},
    "milter_headers.conf": 'use = ["authentication-results"]; skip_local = false; skip_authenticated = false;\n',
}
# What is not measured here: both sides judge where a mail comes from, and nothing else.
OFF = (
    "rbl", "surbl", "fuzzy_check", "phishing", "asn", "mx_check", "greylist", "ratelimit", "history_redis", "neural", "hfilter",
    "replies", "reputation", "url_redirector", "mime_types", "bayes_expiry", "multimap", "chartable", "regexp", "maillist",
    "forged_recipients", "once_received", "whitelist", "spamassassin", "trie", "dkim_signing", "emails", "elastic", "p0f",
)  # fmt: skip


@contextlib.contextmanager
def judging(kind: str, folder: Path, users: list[str]) -> Iterator[Server]:
    """A server that judges, "mailstack" or "rspamd" (behind Postfix), with a DNS of its own."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    pem = generate("rsa")
    dns = free_port()
    with _unbound(folder / "dns", dns, dns_record(load(pem, "far.test", "s"))), contextlib.ExitStack() as more:
        if kind == "mailstack":
            server = more.enter_context(mailstack(folder / "server", users, more=f'[dns]\nnameservers = ["127.0.0.1:{dns}"]\n'))
        else:
            milter = more.enter_context(_rspamd(folder / "rspamd", dns))
            server = more.enter_context(postfix_dovecot(folder / "server", users, milter=milter))
        (server.folder / "far.pem").write_bytes(pem)
        yield server


@contextlib.contextmanager
def _unbound(folder: Path, port: int, key: str) -> Iterator[None]:
    folder.mkdir()
    pieces = " ".join(f'"{key[place : place + 200]}"' for place in range(0, len(key), 200))
    records = (
        'far.test. TXT "v=spf1 ip4:127.0.0.1 -all"', "far.test. A 127.0.0.1", "far.test. MX 10 mx.far.test.",
        '_dmarc.far.test. TXT "v=DMARC1; p=reject"', f"{NAME}. TXT {pieces}",
        "1.0.0.127.in-addr.arpa. PTR mx.far.test.", "mx.far.test. A 127.0.0.1", 'mx.far.test. TXT "v=spf1 a -all"',
    )  # fmt: skip
    data = "".join(f"  local-data: '{one}'\n" for one in records)
    (folder / "unbound.conf").write_text(UNBOUND.format(folder=folder, port=port, data=data))
    process = subprocess.Popen(["unbound", "-c", str(folder / "unbound.conf")], stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield
    finally:
        stop(process)


@contextlib.contextmanager
def _rspamd(folder: Path, dns: int) -> Iterator[int]:
    """rspamd as a milter; the port."""
    milter = free_port()
    for name in ("local.d", "override.d", "db", "run"):
        (folder / name).mkdir(parents=True)
    for name, text in RSPAMD.items():
        (folder / "override.d" / name).write_text(text.format(dns=dns, milter=milter, folder=folder))
    for name in OFF:
        (folder / "override.d" / f"{name}.conf").write_text("enabled = false;\n")
    subprocess.run(["chown", "-R", "_rspamd:_rspamd", str(folder)], check=True)
    variables = [f"--var={name}={folder / place}" for name, place in (("DBDIR", "db"), ("RUNDIR", "run"), ("LOGDIR", "run"))]
    variables.append(f"--var=LOCAL_CONFDIR={folder}")
    command = ["rspamd", "-f", "-c", "/etc/rspamd/rspamd.conf", "-u", "_rspamd", "-g", "_rspamd", *variables]
    with open(folder / "out", "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        wait_for(milter, 180.0)  # it compiles its expressions first
        yield milter
    finally:
        stop(process)
