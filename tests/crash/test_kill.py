"""kill -9 at random instants under all that changes something; the next start needs no repair."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.support.load import USERS, Ledger, Load, verify
from tests.support.server import Server
from tests.support.sink import CountingSink

ROUNDS = int(os.environ.get("MAILSTACK_CRASH_ROUNDS", "6"))


def lose_indexes(folder: Path) -> None:
    for index in folder.glob("data/mail/*/*/index.sqlite3*"):
        index.unlink()


def every_kind(ledger: Ledger) -> bool:
    """Whether a change of every kind was acknowledged."""
    return all((ledger.groups, ledger.trees, ledger.flags, ledger.modseqs_of, ledger.passwords, ledger.relayed))


@pytest.mark.crash
@pytest.mark.timeout(3600)
def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path) -> None:
    pause = random.Random(20)
    copies: dict[str, int] = {}
    with CountingSink() as sink:
        server = Server(tmp_path, smarthost=sink.port, users=USERS, forked=False)
        server.provision()
        ledger = Ledger()
        slowest = 0.0
        try:
            number = -1
            # On a slow machine a short life may see no change of some kind: a few more then.
            while (number := number + 1) < ROUNDS or (not every_kind(ledger) and number < 4 * ROUNDS):
                server.start()
                slowest = max(slowest, server.spent())
                with Load(server, ledger, number, relay=True, users=number % 4 == 0) as load:
                    load.stop.wait(pause.uniform(0.05, 1.0))
                    server.kill()
                with sink.changed:
                    # In one life of the server a message leaves once.
                    again = {token: count for token, count in sink.copies.items() if count > copies.get(token, 0) + 1}
                    copies = dict(sink.copies)
                assert not again, f"sent twice without a kill between: {again}"
                if number % 10 == 9 or number == ROUNDS - 1:
                    server.start()
                    verify(server, ledger)
                    # Stopped: all promises are kept, and the index may go.
                    server.stop()
                    lose_indexes(tmp_path)
                    server.start()
                    verify(server, ledger)
                    server.kill()
            server.start()
            verify(server, ledger)
            assert ledger.relayed <= sink.wait_for(ledger.relayed, 60.0), sorted(ledger.relayed - sink.tokens)[:10]
            assert slowest < 5.0, f"a start took {slowest:.1f} s of processor"
            assert ledger.acknowledged > ROUNDS
            assert every_kind(ledger)
        finally:
            server.kill()
    print(f"{number} kills, {ledger.acknowledged} acknowledged, {len(ledger.relayed)} relayed, slowest start {slowest:.2f} s")


@pytest.mark.crash
@pytest.mark.timeout(600)
def test_an_index_that_is_lost_by_the_kill_loses_no_message(tmp_path: Path) -> None:
    """Worse than what must be survived, a lost index with promises that trail. UIDs and MODSEQs still rise."""
    pause = random.Random(21)
    server = Server(tmp_path, users=USERS, forked=False)
    server.provision()
    ledger = Ledger()
    try:
        for number in range(max(3, ROUNDS // 10)):
            server.start()
            with Load(server, ledger, number) as load:
                load.stop.wait(pause.uniform(0.5, 1.5))
                server.kill()
            lose_indexes(tmp_path)
            server.start()
            verify(server, ledger, promises_kept=False)
            server.kill()
    finally:
        server.kill()


@pytest.mark.crash
@pytest.mark.timeout(300)
def test_uids_are_never_given_twice_without_an_index(tmp_path: Path) -> None:
    server = Server(tmp_path, forked=False)
    server.provision()
    highest = 0
    modseq = 0
    uid_validity = None
    try:
        for number in range(6):
            server.start()
            connection = server.imap("alice")
            connection.select("INBOX")
            validity = connection.response("UIDVALIDITY")[1][0]
            assert uid_validity in (None, validity)
            uid_validity = validity
            connection.append("INBOX", None, None, f"Subject: {number}\r\n\r\nx\r\n".encode())  # type: ignore[arg-type]
            connection.noop()
            uid = int(connection.uid("SEARCH", "ALL")[1][0].split()[-1])
            assert uid > highest
            highest = uid
            connection.uid("STORE", str(uid), "+FLAGS", "(\\Deleted)")
            connection.expunge()
            connection.select("INBOX")
            now = int(connection.response("HIGHESTMODSEQ")[1][0] or 0)
            assert now > modseq
            modseq = now
            if number % 2:
                server.stop()
            else:
                server.kill()
            lose_indexes(tmp_path)
    finally:
        server.kill()
    shutil.rmtree(tmp_path / "data")
