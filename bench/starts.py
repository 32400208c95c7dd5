"""Starts: with thousands of accounts, and a large mailbox right after one."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from bench.client import Imap
from bench.corpus import message
from bench.peers import DOMAIN, PASSWORD, Mailstack, Server, wait_for

ACCOUNTS = 5000


def restart(server: Server, sign: int) -> float:
    """End mailstack with a signal, start it again; seconds until it answers at its IMAP door."""
    assert isinstance(server, Mailstack)
    os.kill(server.root_pids[0], sign)
    server.processes[-1].wait(60)
    begun = time.perf_counter()
    with open(server.folder / "log", "ab") as log:
        process = subprocess.Popen(server.command, env=server.environment, stdout=log, stderr=log)
    server.processes.append(process)
    server.root_pids = [process.pid]
    wait_for(server.imap, 120)
    return time.perf_counter() - begun


def start_of_many(server: Server) -> float:
    """Seconds from a start after kill -9 until a client of one of 5,000 accounts, each with some mail, has its INBOX."""
    assert isinstance(server, Mailstack)
    names = [f"many{number}" for number in range(ACCOUNTS)]
    listing = server.folder / "many.csv"
    rows = "".join(f'{name}@{DOMAIN},,"{{PLAIN}}{PASSWORD}",\n' for name in names)
    listing.write_text("address,password,hash,quota\n" + rows)
    command = [*server.command[:-1], "user", "import", str(listing)]
    subprocess.run(command, check=True, env=server.environment, stdout=subprocess.DEVNULL)
    for number, name in enumerate(names):
        for part in ("cur", "new", "tmp"):
            (server.maildir(name) / part).mkdir(parents=True)
        (server.maildir(name) / "new" / "1700000000.first.host").write_bytes(message(number, 3000))
    for name in names[:200]:
        connection = Imap(server.imap)
        connection.login(name)
        connection.command(b"SELECT INBOX")
        connection.close()
    begun = time.perf_counter()
    restart(server, signal.SIGKILL)
    connection = Imap(server.imap)
    connection.login(names[100])
    connection.command(b"SELECT INBOX")
    connection.close()
    return time.perf_counter() - begun


def select_after_restart(user: str, *, writer: bool = False) -> Callable[[Server], float]:
    """Milliseconds for the first SELECT of a large mailbox; with `writer` another program delivers into it all the time."""

    def measure(server: Server) -> float:
        first = Imap(server.imap)
        first.login(user)
        first.command(b"SELECT INBOX")
        first.close()
        end = threading.Event()
        times = []

        def deliver() -> None:
            number = 0
            while not end.wait(0.05):
                number += 1
                name = f"17{number:08}.{os.getpid()}.{len(times)}.host"
                (server.maildir(user) / "tmp" / name).write_bytes(b"Subject: x\n\nx\n")
                (server.maildir(user) / "tmp" / name).rename(server.maildir(user) / "new" / name)

        thread = threading.Thread(target=deliver)
        if writer:
            thread.start()
        try:
            for _ in range(3):
                restart(server, signal.SIGTERM)
                connection = Imap(server.imap)
                connection.login(user)
                begun = time.perf_counter()
                connection.command(b"SELECT INBOX")
                times.append((time.perf_counter() - begun) * 1000)
                connection.close()
        finally:
            end.set()
            if writer:
                thread.join()
        return sorted(times)[1]

    return measure
