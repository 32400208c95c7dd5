"""Messages judged beside Postfix with rspamd, each asking an unbound: where mail comes from, and what its words say."""

import contextlib
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop

from bench.client import Imap, messages_in, send_all
from bench.learning import teach
from bench.peers import DOMAIN, Server, free_port, mailstack, postfix_dovecot, stop, wait_for
from bench.rspamd import rspamd
from mailstack.delivery.signing import digested
from mailstack.mailauth.arc_seal import seal
from mailstack.mailauth.dkim import dns_record, generate, load, sign

MOMENT = int(time.time()) - 60
RECEIVERS = 10
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


def judged(connections: int, count: int, *, learned: bool = False) -> Callable[[Server], float]:
    """Mails a second that are judged by SPF, DKIM, DMARC and ARC and delivered, until IMAP shows all of them.

    `learned`: by their words, too.
    """

    def measure(server: Server) -> float:
        world = World((server.folder / "far.pem").read_bytes())
        users = [f"user{number}" for number in range(RECEIVERS)]
        batch = [
            (
                "carol@far.test",
                f"{users[number % RECEIVERS]}@{DOMAIN}",
                world.sealed(number, f"{users[number % RECEIVERS]}@{DOMAIN}"),
            )
            for number in range(count)
        ]
        _send(server, users, connections, batch[:20])  # what is looked up once is not counted
        start = time.perf_counter()
        _send(server, users, connections, batch[20:])
        elapsed = time.perf_counter() - start
        if not _judged(server, learned=learned):
            raise RuntimeError("not everything was judged")
        return (count - 20) / elapsed

    return measure


def _send(server: Server, users: list[str], connections: int, batch: list[tuple[str, str, bytes]]) -> None:
    wanted = messages_in(server, users) + len(batch)
    uvloop.run(send_all(server.smtp, connections, batch))
    while messages_in(server, users) < wanted:
        time.sleep(0.005)


def _judged(server: Server, *, learned: bool) -> bool:
    """Whether a message says so."""
    reader = Imap(server.imap)
    reader.login("user0")
    reader.command(b"SELECT INBOX")
    fields = b"AUTHENTICATION-RESULTS X-SPAM-STATUS X-SPAMD-RESULT"
    found = reader.command(b"FETCH * BODY.PEEK[HEADER.FIELDS (%b)]" % fields, keep=True).lower()
    reader.close()
    wanted = [b"spf=pass", b"dkim=pass", b"dmarc=pass", b"arc=pass"]
    return all(word in found for word in wanted) and (not learned or b"\nx-spam" in found)


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


@contextlib.contextmanager
def judging(kind: str, folder: Path, users: list[str], *, learned: bool) -> Iterator[Server]:
    """A server that judges, "mailstack" or "rspamd" (behind Postfix), with a DNS of its own. `learned`: it knows words."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    pem = generate("rsa")
    dns = free_port()

    def prepare(server: Server) -> None:
        if learned:
            teach(server, users[:RECEIVERS])

    with _unbound(folder / "dns", dns, dns_record(load(pem, "far.test", "s"))), contextlib.ExitStack() as more:
        if kind == "mailstack":
            settings = f'[dns]\nnameservers = ["127.0.0.1:{dns}"]\n'
            server = more.enter_context(mailstack(folder / "server", users, prepare=prepare, more=settings))
        else:
            milter = more.enter_context(rspamd(folder / "rspamd", dns, learned=learned))
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
