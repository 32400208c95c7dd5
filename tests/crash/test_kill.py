"""kill -9 at random instants under deliveries, APPEND, MOVE, EXPUNGE and relay; the next start needs no repair."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.support.server import Ledger, Load, Server, verify
from tests.support.sink import CountingSink

ROUNDS = int(os.environ.get("MAILSTACK_CRASH_ROUNDS", "6"))


@pytest.mark.crash
@pytest.mark.timeout(1800)
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    pause = random.Random(20)
    with CountingSink() as sink:
        server = Server(tmp_path, smarthost=sink.port)
        server.provision()
        ledger = Ledger()
        slowest = 0.0
        try:
            for number in range(ROUNDS):
                slowest = max(slowest, server.start())
                with Load(server, ledger, number, relay=True) as load:
                    load.stop.wait(pause.uniform(0.05, 1.0))
                    server.kill()
                if number % 20 == 19:
                    for index in tmp_path.glob("data/mail/*/*/index.sqlite3*"):
                        index.unlink()
                if number % 10 == 9 or number == ROUNDS - 1:
                    server.start()
                    verify(server, ledger)
                    server.kill()
            server.start()
            verify(server, ledger)
            assert ledger.relayed <= sink.wait_for(ledger.relayed, 60.0), sorted(ledger.relayed - sink.tokens)[:10]
            assert slowest < 5.0, f"a start took {slowest:.1f} s"
        finally:
            server.kill()
    print(
        f"{ROUNDS} kills, {len(ledger.acknowledged)} acknowledged, {len(ledger.relayed)} relayed, slowest start {slowest:.2f} s"
    )


@pytest.mark.crash
@pytest.mark.timeout(300)
def test_uids_are_never_given_twice_without_an_index(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.provision()
    highest = 0
    uid_validity = None
    try:
        for number in range(4):
            server.start()
            connection = server.imap("alice")
            connection.select("INBOX")
            validity = connection.response("UIDVALIDITY")[1][0]
            assert uid_validity in (None, validity)
            uid_validity = validity
            connection.append("INBOX", None, None, f"Subject: {number}\r\n\r\nx\r\n".encode())
            connection.noop()
            uid = int(connection.uid("SEARCH", "ALL")[1][0].split()[-1])
            assert uid > highest
            highest = uid
            connection.uid("STORE", str(uid), "+FLAGS", "(\\Deleted)")
            connection.expunge()
            server.kill()
            for index in tmp_path.glob("data/mail/*/*/index.sqlite3*"):
                index.unlink()
    finally:
        server.kill()
    shutil.rmtree(tmp_path / "data")
