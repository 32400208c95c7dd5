"""The measurements. Each takes a running server and returns one figure; `better` says which way is good."""

import asyncio
import contextlib
import os
import random
import select
import selectors
import signal
import smtplib
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.client import Imap, messages_in, send_all
from bench.corpus import CJK, COMMON, RARE, TWO_LETTERS, message
from bench.judging import judged
from bench.peers import DOMAIN, PASSWORD, Server, Sink
from bench.sieve import sieve
from bench.signing import signings, verifications
from bench.starts import restart, select_after_restart, start_of_many

USERS = [f"user{number}" for number in range(20)]
BIG = "big"
HUGE = "huge"
HUGE_MESSAGES = 100_000


@dataclass(frozen=True)
class Row:
    """One line of the report: name, unit, whether more is better, and its mark: a ratio to the best peer, or a limit."""

    name: str
    unit: str
    more_is_better: bool
    mark: float | None
    measure: Callable[[Server], float]
    group: str = "imap"
    limit: float | None = None  # in the row's unit, whatever the peers do
    alone: bool = False  # no peer has what is measured


def deliveries(connections: int, count: int) -> Callable[[Server], float]:
    """Deliveries a second to ten accounts, until IMAP shows all of them."""

    def measure(server: Server) -> float:
        users = USERS[:10]
        before = messages_in(server, users)
        batch = [("sender@example.net", f"{users[i % 10]}@{DOMAIN}", message(i)) for i in range(count)]
        start = time.perf_counter()
        uvloop.run(send_all(server.smtp, connections, batch))
        while messages_in(server, users) < before + count:
            time.sleep(0.005)
        return count / (time.perf_counter() - start)

    return measure


def to_exists(percentile: float) -> Callable[[Server], float]:
    """Milliseconds from the end of DATA until an idling client reads EXISTS, while others deliver at half of what it takes."""

    def measure(server: Server) -> float:
        figures = exists_delays(server)
        return figures[min(len(figures) - 1, int(len(figures) * percentile))]

    return measure


def exists_delays(server: Server) -> list[float]:
    """Sorted; measured once a server."""
    if server.exists_delays is None:
        burst = [("sender@example.net", f"{USERS[i % 10]}@{DOMAIN}", message(i)) for i in range(600)]
        start = time.perf_counter()
        uvloop.run(send_all(server.smtp, 20, burst))
        rate = len(burst) / (time.perf_counter() - start) / 2
        with Beside("load", str(server.smtp), f"{rate:.1f}"):
            server.exists_delays = sorted(_exists_delays(server))
    return server.exists_delays


def _exists_delays(server: Server) -> list[float]:
    connection = Imap(server.imap)
    connection.login("user15")
    connection.command(b"SELECT INBOX")
    connection.socket.sendall(b"i1 IDLE\r\n")
    connection.until(b"+ ")
    delays = []
    sender = socket.create_connection(("127.0.0.1", server.smtp))
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def reply() -> None:
        data = b""
        while not data.endswith(b"\r\n") or (data.splitlines()[-1][3:4] == b"-"):
            piece = sender.recv(65536)
            if not piece:
                raise EOFError(data)
            data += piece

    reply()
    sender.sendall(b"EHLO client.test\r\n")
    reply()
    body = message(1)
    for _ in range(200):
        for line in (b"MAIL FROM:<s@example.net>\r\n", f"RCPT TO:<user15@{DOMAIN}>\r\n".encode(), b"DATA\r\n"):
            sender.sendall(line)
            reply()
        start = time.perf_counter()
        sender.sendall(body + b".\r\n")
        data = b""
        while b"EXISTS" not in data:
            if not select.select([connection.socket], [], [], 30)[0]:
                raise TimeoutError("no EXISTS")
            data += connection.socket.recv(65536)
        delays.append((time.perf_counter() - start) * 1000)
        reply()
        time.sleep(0.02)
    sender.close()
    connection.close()
    return delays


class Beside:
    """A client in a process of its own while something else is measured: `python -m bench.beside ...`."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "bench.beside", *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> "Beside":
        assert self.process.stdout is not None
        self.process.stdout.readline()  # it has begun
        return self

    def finish(self) -> bytes:
        """End it; what it measured."""
        return self.process.communicate(b"stop\n", timeout=60)[0]

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.finish()


def stall_while(work: Callable[[Server], object]) -> Callable[[Server], float]:
    """The longest wait of another client's NOOP meanwhile, one a millisecond: no less than the loop's longest stall."""

    def measure(server: Server) -> float:
        with Beside("noop", str(server.imap)) as probe:
            time.sleep(0.5)
            work(server)
            return float(probe.finish())

    return measure


def index_huge(server: Server) -> None:
    """The first SELECT of a mailbox that another program filled."""
    connection = Imap(server.imap)
    connection.login(HUGE)
    connection.command(b"SELECT INBOX")
    connection.close()


def search_huge(server: Server) -> None:
    """Searches of 100,000 messages: some of them are in the index, the others are being taken in."""
    connection = Imap(server.imap)
    connection.login(HUGE)
    connection.command(b"SELECT INBOX")
    for key in ("SINCE 1-Jan-2020", "NOT FROM garden7@", "SUBJECT e", "OR FROM garden SEEN", f"TEXT {RARE}"):
        connection.command(b"UID SEARCH " + key.encode())
    connection.close()


def send_50_mb(server: Server) -> None:
    data = (b"y" * 76 + b"\r\n") * 640_000
    with smtplib.SMTP("127.0.0.1", server.smtp, timeout=120) as client:
        client.ehlo()
        client.mail("sender@example.net")
        client.rcpt(f"user11@{DOMAIN}")
        client.docmd("DATA")
        client.send(b"Subject: large\r\n\r\n")
        for first in range(0, len(data), 1 << 20):
            client.send(data[first : first + (1 << 20)])
        code, words = client.docmd(".")
        if code != 250:
            raise RuntimeError(words.decode())


def _kilobytes(path: Path, name: str) -> float:
    return float(next(line.split()[1] for line in path.read_text().splitlines() if line.startswith(f"{name}:")))


def relay(count: int) -> Callable[[Server], float]:
    """Messages a second from submission until a receiving host has them, through the queue."""

    def measure(server: Server) -> float:
        login = f"user0@{DOMAIN}" if server.submission_login else None
        batch = [
            (
                f"user0@{DOMAIN}",
                f"r{i}@far.test",
                message(i)
                .replace(b"\r\nFrom: ", b"\r\nX-From: ", 1)
                .replace(b"\r\nTo: ", f"\r\nFrom: user0@{DOMAIN}\r\nTo: ".encode(), 1),
            )
            for i in range(count)
        ]
        before = Sink.count

        async def run() -> float:
            start = time.perf_counter()
            await send_all(server.submission, 20, batch, login)
            while Sink.count < before + count:
                await asyncio.sleep(0.005)
                if time.perf_counter() - start > 120:
                    raise TimeoutError(f"{Sink.count - before} of {count} relayed")
            return count / (time.perf_counter() - start)

        async def whole() -> float:
            sink = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", RELAY_PORT[0])
            try:
                return await run()
            finally:
                sink.close()

        return uvloop.run(whole())

    return measure


RELAY_PORT = [0]


def sessions(count: int, tls: bool = False) -> Callable[[Server], float]:
    """login + SELECT + logout a second, four at a time."""

    def measure(server: Server) -> float:
        from concurrent.futures import ThreadPoolExecutor

        def one(number: int) -> None:
            connection = Imap(server.imaps if tls else server.imap, tls=tls)
            connection.login(USERS[number % 10])
            connection.command(b"SELECT INBOX")
            connection.command(b"LOGOUT")
            connection.close()

        for number in range(10):
            one(number)
        start = time.perf_counter()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, range(count)))
        return count / (time.perf_counter() - start)

    return measure


def fetch(items: bytes, *, warm: bool = True, user: str = BIG) -> Callable[[Server], float]:
    """Milliseconds for one FETCH of a whole mailbox: the median of several when warm, the first when not."""

    def measure(server: Server) -> float:
        connection = Imap(server.imap)
        connection.login(user)
        connection.command(b"SELECT INBOX")
        rounds = []
        for _ in range(5 if warm else 1):
            start = time.perf_counter()
            connection.command(b"FETCH 1:* (" + items + b")")
            rounds.append((time.perf_counter() - start) * 1000)
        connection.close()
        return statistics.median(rounds[1:] if warm else rounds)

    return measure


def asked(command: bytes, *, warm: bool = True) -> Callable[[Server], float]:
    """Milliseconds for one command over a whole mailbox: the median of several when warm, the first when not."""

    def measure(server: Server) -> float:
        connection = Imap(server.imap)
        connection.login(BIG)
        connection.command(b"SELECT INBOX")
        rounds = []
        for _ in range(6 if warm else 1):
            start = time.perf_counter()
            connection.command(command)
            rounds.append((time.perf_counter() - start) * 1000)
        connection.close()
        return statistics.median(rounds[1:] if warm else rounds)

    return measure


LISTED = b"UID ENVELOPE INTERNALDATE RFC822.SIZE"
# What Thunderbird asks of each message of a folder that it opens.
HEADER_FIELDS = (
    b"UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority X-Priority References "
    b"Newsgroups In-Reply-To Content-Type Reply-To)]"
)


def bodies(server: Server) -> float:
    """MB a second of whole messages."""
    connection = Imap(server.imap)
    connection.login(BIG)
    connection.command(b"SELECT INBOX")
    rates = []
    for _ in range(3):
        start = time.perf_counter()
        connection.command(b"UID FETCH 1:* (BODY.PEEK[])")
        rates.append(connection.octets / 1e6 / (time.perf_counter() - start))
    connection.close()
    return statistics.median(rates)


def search(key: str) -> Callable[[Server], float]:
    """Milliseconds for one SEARCH of the big mailbox, warm: the median of five, once the index has all mails."""

    def measure(server: Server) -> float:
        connection = Imap(server.imap)
        connection.login(BIG)
        answer = connection.command(b"SELECT INBOX", keep=True)
        count = int(answer.partition(b" EXISTS")[0].rpartition(b" ")[2])
        while server.name == "mailstack" and indexed(server) < count:
            time.sleep(0.5)
        rounds = []
        for _ in range(6):
            start = time.perf_counter()
            connection.command(b"SEARCH " + key.encode())
            rounds.append((time.perf_counter() - start) * 1000)
        connection.close()
        return statistics.median(rounds[1:])

    return measure


def indexed(server: Server) -> int:
    """How many mails of the big mailbox the full-text index has."""
    path = server.maildir(BIG).parent / "fulltext.sqlite3"
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        with contextlib.suppress(sqlite3.OperationalError):
            return int(database.execute("SELECT total(length(uids)) FROM pack").fetchone()[0]) // 4
    return 0


def literal(text: str) -> str:
    return f"{{{len(text.encode())}+}}\r\n{text}"


def store_1000(server: Server) -> float:
    connection = Imap(server.imap)
    connection.login(BIG)
    connection.command(b"SELECT INBOX")
    rounds = []
    for sign in (b"+", b"-", b"+", b"-", b"+", b"-"):
        start = time.perf_counter()
        connection.command(b"STORE 1:1000 " + sign + b"FLAGS.SILENT (\\Flagged)")
        rounds.append((time.perf_counter() - start) * 1000)
        connection.command(b"NOOP")
    connection.close()
    return statistics.median(rounds)


def copy_1000(server: Server) -> float:
    connection = Imap(server.imap)
    connection.login(BIG)
    connection.command(b"SELECT INBOX")
    rounds = []
    for number in range(5):
        name = b"copy%d" % random.getrandbits(40)
        connection.command(b"CREATE " + name)
        start = time.perf_counter()
        connection.command(b"COPY %d:%d %b" % (number * 1000 + 1, number * 1000 + 1000, name))
        rounds.append((time.perf_counter() - start) * 1000)
        connection.command(b"NOOP")
    connection.close()
    return statistics.median(rounds)


def move_1000(server: Server) -> float:
    connection = Imap(server.imap)
    connection.login(BIG)
    rounds = []
    name = b"from%d" % random.getrandbits(40)
    connection.command(b"CREATE " + name)
    connection.command(b"SELECT INBOX")
    connection.command(b"COPY 1:3000 " + name)
    connection.command(b"SELECT " + name)
    for _ in range(3):
        target = b"move%d" % random.getrandbits(40)
        connection.command(b"CREATE " + target)
        start = time.perf_counter()
        connection.command(b"MOVE 1:1000 " + target)
        rounds.append((time.perf_counter() - start) * 1000)
        connection.command(b"NOOP")
    connection.close()
    return statistics.median(rounds)


def expunge_1000(server: Server) -> float:
    connection = Imap(server.imap)
    connection.login(BIG)
    name = b"gone%d" % random.getrandbits(40)
    connection.command(b"CREATE " + name)
    connection.command(b"SELECT INBOX")
    connection.command(b"COPY 1:5000 " + name)
    connection.command(b"SELECT " + name)
    rounds = []
    for _ in range(5):
        connection.command(b"STORE 1:1000 +FLAGS.SILENT (\\Deleted)")
        connection.command(b"NOOP")
        start = time.perf_counter()
        connection.command(b"EXPUNGE")
        rounds.append((time.perf_counter() - start) * 1000)
        connection.command(b"NOOP")
    connection.close()
    return statistics.median(rounds)


def appends(connections: int, count: int) -> Callable[[Server], float]:
    """APPENDs a second of 10 KB mails, each answered before the next."""

    def measure(server: Server) -> float:
        mails = [message(index) for index in range(count // connections)]

        async def one(number: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.imap)
            await reader.readline()

            async def until(tag: bytes) -> None:
                while True:
                    line = await reader.readline()
                    if line.startswith(tag):
                        if b" OK" not in line:
                            raise RuntimeError(line.decode())
                        return
                    if not line:
                        raise EOFError

            writer.write(b'a LOGIN %s@%s "%s"\r\n' % (USERS[number % 20].encode(), DOMAIN.encode(), PASSWORD.encode()))
            await until(b"a ")
            for data in mails:
                writer.write(b"b APPEND INBOX {%d+}\r\n%b\r\n" % (len(data), data))
                await until(b"b ")
            writer.close()

        async def run() -> float:
            start = time.perf_counter()
            await asyncio.gather(*(one(number) for number in range(connections)))
            return count / (time.perf_counter() - start)

        return uvloop.run(run())

    return measure


def multiappend(count: int, at_once: int) -> Callable[[Server], float]:
    """Mails of 10 KB a second on one connection, many in each command (RFC 3502)."""

    def measure(server: Server) -> float:
        connection = Imap(server.imap)
        connection.login(USERS[0])
        name = b"many%d" % random.getrandbits(40)
        connection.command(b"CREATE " + name)
        batches = [[message(number) for number in range(first, first + at_once)] for first in range(0, count, at_once)]
        start = time.perf_counter()
        for mails in batches:
            connection.append_all(name, mails)
        taken = time.perf_counter() - start
        connection.close()
        return count / taken

    return measure


LARGE = (b"y" * 76 + b"\r\n") * 320_000  # 25 MB


def append_25_mb(server: Server) -> float:
    """Milliseconds; each in a mailbox of its own, so that no FETCH of many reads them."""
    connection = Imap(server.imap)
    connection.login(USERS[1])
    rounds = []
    for _ in range(4):
        start = time.perf_counter()
        connection.append(b"INBOX", b"Subject: large\r\n\r\n" + LARGE)
        rounds.append((time.perf_counter() - start) * 1000)
    connection.close()
    return statistics.median(rounds)


def fetch_25_mb(server: Server) -> float:
    """Milliseconds for one message of those that append_25_mb left."""
    connection = Imap(server.imap)
    connection.login(USERS[1])
    connection.append(b"INBOX", b"Subject: large\r\n\r\n" + LARGE)
    connection.command(b"SELECT INBOX")
    rounds = []
    for _ in range(4):
        start = time.perf_counter()
        connection.command(b"FETCH * BODY.PEEK[]")
        rounds.append((time.perf_counter() - start) * 1000)
    connection.close()
    return statistics.median(rounds)


def grown(work: Callable[[Server], object]) -> Callable[[Server], float]:
    """MB by which the server's peak of memory grows with some work, after it was done once to warm it up."""

    def measure(server: Server) -> float:
        work(server)
        status = Path(f"/proc/{server.root_pids[0]}")
        (status / "clear_refs").write_text("5")  # the peak begins anew
        before = _kilobytes(status / "status", "VmRSS")
        work(server)
        return (_kilobytes(status / "status", "VmHWM") - before) / 1000

    return measure


def everything(server: Server) -> None:
    """What the rows above do, once."""
    for items in (b"UID FLAGS", b"UID ENVELOPE INTERNALDATE RFC822.SIZE", b"UID BODYSTRUCTURE", HEADER_FIELDS):
        fetch(items)(server)
    bodies(server)
    for row in (
        store_1000,
        copy_1000,
        move_1000,
        expunge_1000,
        appends(20, 1000),
        multiappend(500, 50),
        append_25_mb,
        fetch_25_mb,
    ):
        row(server)


def settled_pss(server: Server) -> int:
    """PSS once it was the same for four seconds, in which no helper filled an index: one begins two seconds after mail."""
    same, last = 0, server.pss()
    end = time.monotonic() + 180
    while same < 4 and time.monotonic() < end:
        time.sleep(1.0)
        now = server.pss()
        helped = server.name == "mailstack" and len(server.pids()) > 1
        same = 0 if helped or abs(now - last) >= 64 * 1024 else same + 1
        last = now
    return last


def told_to_all(count: int, user: str) -> Callable[[Server], float]:
    """From the last octet of an APPEND until the last of `count` idling sessions has its EXISTS; the median of 9."""

    def measure(server: Server) -> float:
        idlers = []
        for _ in range(count):
            connection = Imap(server.imap)
            connection.login(user)
            connection.command(b"SELECT INBOX")
            connection.socket.sendall(b"i IDLE\r\n")
            connection.until(b"+ ")
            idlers.append(connection)
        sender = Imap(server.imap)
        sender.login(user)
        times = []
        for _ in range(9):
            time.sleep(0.7)
            waiting = selectors.DefaultSelector()
            for connection in idlers:
                waiting.register(connection.socket, selectors.EVENT_READ, connection)
            begun = time.perf_counter()
            sender.append(b"INBOX", message(1))
            while waiting.get_map():
                for key, _ in waiting.select(30):
                    if b"EXISTS" in key.fileobj.recv(4096):  # type: ignore[union-attr]
                        waiting.unregister(key.fileobj)
            times.append((time.perf_counter() - begun) * 1000)
            waiting.close()
        for connection in (*idlers, sender):
            connection.close()
        return statistics.median(times)

    return measure


def _warm(server: Server, user: str) -> Imap:
    connection = Imap(server.imap)
    connection.login(user)
    connection.command(b"SELECT INBOX")
    return connection


def idle_memory(count: int, *, tls: bool = False, one_big_mailbox: bool = False) -> Callable[[Server], float]:
    """KB of the server's memory (PSS of all processes) for each of `count` connections that wait in IDLE."""

    def measure(server: Server) -> float:
        users = [BIG] if one_big_mailbox else [f"idle{number}" for number in range(min(count, 1000))]
        warm = _warm(server, users[0])
        before = settled_pss(server)
        if one_big_mailbox and server.name == "mailstack":
            # What the first look at 10,000 messages left unused would hold the connections for nothing.
            warm.close()
            restart(server, signal.SIGTERM)
            warm = _warm(server, users[0])
            before = settled_pss(server)
        connections = []
        for number in range(count):
            connection = Imap(server.imaps if tls else server.imap, tls=tls)
            connection.login(users[number % len(users)])
            connection.command(b"SELECT INBOX")
            connection.socket.sendall(b"i IDLE\r\n")
            connection.until(b"+ ")
            connections.append(connection)
        time.sleep(12 if "hibernated" in server.name else 2)
        after = settled_pss(server)
        for connection in connections:
            connection.close()
        warm.close()
        return (after - before) / count / 1024

    return measure


ROWS = [
    Row("deliveries, 1 connection", "/s", True, 2.0, deliveries(1, 600), "smtp"),
    Row("deliveries, 20 connections", "/s", True, 2.0, deliveries(20, 3000), "smtp"),
    Row("deliveries, 100 connections", "/s", True, 2.0, deliveries(100, 3000), "smtp"),
    Row("end of DATA to EXISTS at half load, median", "ms", False, None, to_exists(0.5), "smtp", limit=5.0),
    Row("end of DATA to EXISTS at half load, 99th", "ms", False, None, to_exists(0.99), "smtp", limit=20.0),
    Row("relay through the queue", "/s", True, 1.0, relay(2000), "relay"),
    Row("relay through the queue, signed with two keys (the peer does not sign)", "/s", True, None, relay(2000), "signed"),
    Row("DKIM: 10 KB signed with RSA", "/s", True, None, signings(("rsa",), 2000), "dkim"),
    Row(
        "DKIM: 10 KB signed with RSA and Ed25519 (the peer with RSA)",
        "/s",
        True,
        None,
        signings(("rsa", "ed25519"), 2000),
        "dkim",
    ),
    Row("DKIM: 10 KB signed with Ed25519 (the peer with RSA)", "/s", True, None, signings(("ed25519",), 2000), "dkim"),
    Row("DKIM signatures of 10 KB verified", "/s", True, 5.0, verifications(5000), "dkim"),
    Row("10 KB judged by SPF, DKIM, DMARC, ARC and delivered, 20 connections", "/s", True, 2.0, judged(20, 1020), "judged"),
    Row("10 KB judged by learned words as well, 20 connections", "/s", True, 2.0, judged(20, 1020, learned=True), "learned"),
    Row("login+SELECT+logout", "/s", True, 2.0, sessions(1000)),
    Row("login+SELECT+logout, TLS", "/s", True, 1.0, sessions(400, tls=True)),
    Row("FETCH 10,000 ENVELOPE, first ever", "ms", False, 1.5, fetch(LISTED, warm=False)),
    Row("FETCH 10,000 ENVELOPE, warm", "ms", False, 4.0, fetch(LISTED)),
    Row("FETCH 10,000 UID FLAGS", "ms", False, 1.5, fetch(b"UID FLAGS")),
    Row("FETCH 10,000 header fields, first time", "ms", False, None, fetch(HEADER_FIELDS, warm=False)),
    Row("FETCH 10,000 header fields, warm", "ms", False, 2.0, fetch(HEADER_FIELDS)),
    Row("FETCH 10,000 BODYSTRUCTURE, first ever", "ms", False, None, fetch(b"UID BODYSTRUCTURE", warm=False)),
    Row("FETCH 10,000 BODYSTRUCTURE, warm", "ms", False, 1.5, fetch(b"UID BODYSTRUCTURE")),
    Row("FETCH 10,000 bodies", "MB/s", True, 1.0, bodies),
    Row("SORT 10,000 by SUBJECT, first ever", "ms", False, 2.0, asked(b"UID SORT (SUBJECT) UTF-8 ALL", warm=False), "sort"),
    Row("SORT 10,000 by SUBJECT, warm", "ms", False, 2.0, asked(b"UID SORT (SUBJECT) UTF-8 ALL"), "sort"),
    Row("SORT 10,000 by REVERSE DATE, warm", "ms", False, 2.0, asked(b"UID SORT (REVERSE DATE) UTF-8 ALL"), "sort"),
    Row("SORT 10,000 by FROM and DATE, warm", "ms", False, 2.0, asked(b"SORT (FROM DATE) UTF-8 ALL"), "sort"),
    Row("THREAD 10,000 by REFERENCES, first", "ms", False, 2.0, asked(b"UID THREAD REFERENCES UTF-8 ALL", warm=False), "sort"),
    Row("THREAD 10,000 by REFERENCES, warm", "ms", False, 2.0, asked(b"UID THREAD REFERENCES UTF-8 ALL"), "sort"),
    Row("SEARCH TEXT of a rare word", "ms", False, 100.0, search(f"TEXT {RARE}")),
    Row("SEARCH BODY of a rare word", "ms", False, 100.0, search(f"BODY {RARE}")),
    Row("SEARCH BODY of a word in half of all mails", "ms", False, 1.0, search(f"BODY {COMMON}")),
    Row("SEARCH BODY of two letters", "ms", False, 1.0, search(f"BODY {TWO_LETTERS}")),
    Row("SEARCH BODY of two CJK characters", "ms", False, 1.0, search(f"CHARSET UTF-8 BODY {literal(CJK)}")),
    Row("SEARCH FROM", "ms", False, 3.0, search("FROM garden7@")),
    Row("SEARCH SUBJECT", "ms", False, 3.0, search("SUBJECT invoice")),
    Row("SEARCH SINCE", "ms", False, 3.0, search("SINCE 17-Nov-2023")),
    Row("STORE of 1,000", "ms", False, 1.5, store_1000),
    Row("COPY of 1,000", "ms", False, 2.0, copy_1000),
    Row("MOVE of 1,000", "ms", False, 2.0, move_1000),
    Row("EXPUNGE of 1,000", "ms", False, 1.5, expunge_1000),
    Row("APPEND, 1 connection", "/s", True, 1.2, appends(1, 500)),
    Row("APPEND, 20 connections", "/s", True, 1.5, appends(20, 2000)),
    Row("MULTIAPPEND of 50, 1 connection", "/s", True, 1.5, multiappend(2000, 50)),
    Row("APPEND of 25 MB", "ms", False, 1.0, append_25_mb),
    Row("FETCH of 25 MB", "ms", False, 1.0, fetch_25_mb),
    Row("FETCH 100,000 UID FLAGS", "ms", False, 1.3, fetch(b"UID FLAGS", user=HUGE), "huge"),
    Row("FETCH 100,000 ENVELOPE, first ever", "ms", False, 1.5, fetch(LISTED, warm=False, user=HUGE), "huge"),
    Row("FETCH 100,000 ENVELOPE, warm", "ms", False, 4.0, fetch(LISTED, user=HUGE), "huge"),
    Row("memory of an idle connection, 1,000 accounts", "KB", False, None, idle_memory(1000), "memory", 20.0),
    Row("memory of an idle TLS connection, 1,000 accounts", "KB", False, None, idle_memory(1000, tls=True), "tls memory", 50.0),
    Row(
        "memory of an idle connection, one mailbox of 10,000",
        "KB",
        False,
        None,
        idle_memory(1000, one_big_mailbox=True),
        "big memory",
        20.0,
    ),
    Row(
        "memory of an idle TLS connection, one mailbox of 10,000",
        "KB",
        False,
        None,
        idle_memory(1000, tls=True, one_big_mailbox=True),
        "big tls memory",
        50.0,
    ),
    Row("one message told to 100 idlers of a mailbox", "ms", False, None, told_to_all(100, "user1"), limit=20.0),
    Row("one message told to 100 idlers of 10,000 messages", "ms", False, None, told_to_all(100, BIG), limit=20.0),
    Row("Sieve: scripts of 20 rules, compiled and run", "/s", True, 1.0, sieve(compiles=True), "sieve"),
    Row("Sieve: scripts of 20 rules, run", "/s", True, 1.0, sieve(compiles=False), "sieve"),
    Row("SELECT of 100,000 after a restart", "ms", False, None, select_after_restart(HUGE), "restart", 10.0, True),
    Row(
        "SELECT of 100,000 after a restart, another program writes",
        "ms",
        False,
        None,
        select_after_restart(HUGE, writer=True),
        "restart",
        10.0,
        True,
    ),
    Row("start with 5,000 accounts, to the first INBOX", "s", False, None, start_of_many, "starts", 5.0, True),
    Row("memory of an idle connection, 5,000 on 1,000 accounts", "KB", False, None, idle_memory(5000), "many", 8.0),
    Row(
        "memory of an idle TLS connection, 5,000 on 1,000 accounts",
        "KB",
        False,
        None,
        idle_memory(5000, tls=True),
        "tls many",
        36.0,
    ),
    Row("longest stall while 100,000 messages are indexed", "ms", False, None, stall_while(index_huge), "stall", 50.0, True),
    Row("longest stall while 100,000 messages are searched", "ms", False, None, stall_while(search_huge), "stall", 20.0, True),
    Row("longest stall while a 50 MB message arrives", "ms", False, None, stall_while(send_50_mb), "stall", 20.0, True),
    Row("memory that a 50 MB message costs", "MB", False, None, grown(send_50_mb), "stall", 2.0, True),
    Row("memory that APPEND of 25 MB costs", "MB", False, None, grown(append_25_mb), "stall", 2.0, True),
    Row("memory that FETCH of 25 MB costs", "MB", False, None, grown(fetch_25_mb), "stall", 2.0, True),
    Row("longest stall under all IMAP rows", "ms", False, None, stall_while(everything), "stall imap", 20.0, True),
]


def all_users() -> list[str]:
    return [*USERS, BIG, HUGE, *(f"idle{number}" for number in range(1000))]


def load() -> str:
    return " ".join(f"{value:.1f}" for value in os.getloadavg())
