"""kill -9 while an account is taught: what was acknowledged is learned, once, and the counts are those of the lessons."""

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from mailstack.store.learned.file import NAME, LearnedFile
from tests.support.server import DOMAIN, NETWORK_PROBLEMS, ROOT, Server

ROUNDS = int(os.environ.get("MAILSTACK_CRASH_ROUNDS", "6"))
# It writes down lessons, learns them, changes its mind, and says so after each.
PUPIL = """
import os, sys
from pathlib import Path
from mailstack.store.learned.file import LearnedFile
from tests.crash.test_learned import words
def say(word, number):
    os.write(1, f"{word} {number}\\n".encode())
file, number = LearnedFile(Path(sys.argv[1])), int(sys.argv[2])
while True:
    number += 1
    file.put_off("INBOX", 1, [number], number % 2)
    say("put", number)
    file.learn(str(number), words(number), bool(number % 2), 1)
    say("learned", number)
    file.done([one.number for one in file.pending(10)])
    say("done", number)
    if number % 5 == 0:
        file.learn(str(number - 1), words(number - 1), None, 1)
        say("forgotten", number - 1)
"""


def words(number: int) -> list[int]:
    return [number % 3, 10 + number % 7, 100 + number]


def lesson_by_lesson(path: Path, first: int, lines: int) -> dict[str, set[int]]:
    """What a pupil said that was killed after so many lines."""
    command = [sys.executable, "-c", PUPIL, str(path), str(first)]
    said: dict[str, set[int]] = {"put": set(), "learned": set(), "done": set(), "forgotten": set()}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as pupil:
        assert pupil.stdout is not None
        for _ in range(lines):
            verb, number = pupil.stdout.readline().split()
            said[verb].add(int(number))
        pupil.kill()
        for line in pupil.stdout:  # what it still said before it was killed
            verb, number = line.split()
            said[verb].add(int(number))
    return said


def hold_together(path: Path) -> dict[int, bool]:
    """What was learned, once the counts are seen to be those of it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        learned = {int(id): bool(junk) for id, junk in connection.execute("SELECT id, junk FROM learned")}
        kept = {
            (key, bool(side)): count
            for side, column in enumerate(("good", "junk"))
            for key, count in connection.execute(f"SELECT key, {column} FROM token WHERE {column} > 0")
        }
    assert Counter((key, junk) for number, junk in learned.items() for key in words(number)) == kept
    file = LearnedFile(path)
    assert file.learned() == (sum(learned.values()), len(learned) - sum(learned.values()))
    file.close()
    return learned


@pytest.mark.parametrize("rounds", [2, pytest.param(10 * ROUNDS, marks=[pytest.mark.crash, pytest.mark.timeout(3600)])])
def test_lessons_are_learned_whole_or_not_at_all(tmp_path: Path, rounds: int) -> None:
    path, chance, first = tmp_path / NAME, random.Random(3), 0
    must: dict[int, bool] = {}
    for _ in range(rounds):
        said = lesson_by_lesson(path, first, chance.randrange(3, 60))
        learned = hold_together(path)
        must |= {number: bool(number % 2) for number in said["learned"]}
        for number in said["forgotten"]:
            must.pop(number, None)
        # The last one may have been forgotten without a word.
        last = max(said["done"], default=0) - 1
        if last not in learned:
            must.pop(last, None)
        assert {number: learned.get(number) for number in must} == must
        file = LearnedFile(path)
        owed = {one.uid for one in file.pending(100)}
        assert said["put"] - said["done"] <= owed | set(learned) | said["learned"]
        file.done([one.number for one in file.pending(100)])
        file.close()
        first = max(said["put"] | set(learned) | {first}) + 1


@pytest.mark.crash
@pytest.mark.timeout(3600)
def test_what_a_person_moved_is_learned_though_the_server_was_killed(tmp_path: Path) -> None:
    """Through the whole appliance: each MOVE that was answered teaches once, and none twice."""
    pause = random.Random(4)
    server = Server(tmp_path, forked=False)
    server.provision()
    number, tried, answered = 0, 0, 0
    try:
        for _ in range(ROUNDS):
            server.start()
            connection = server.imap("alice")
            killer = threading.Timer(pause.uniform(0.05, 0.8), server.kill)
            killer.start()
            with contextlib.suppress(*NETWORK_PROBLEMS):
                while True:
                    number += 1
                    text = f"Subject: offer{number}\r\nMessage-ID: <{number}@far.test>\r\n\r\ncheap pills {number}\r\n"
                    connection.append("INBOX", None, None, text.encode())  # type: ignore[arg-type]
                    connection.select("INBOX")
                    tried += 1
                    assert connection.uid("MOVE", "*", "Junk")[0] == "OK"
                    answered += 1
            killer.join()
        server.start()
        end = time.monotonic() + 60
        while True:
            (row,) = json.loads(server.run("spam", "stats", f"alice@{DOMAIN}", "--json").stdout)
            if answered <= row["junk"]:
                break
            assert time.monotonic() < end, f"{answered} lessons were acknowledged, {row['junk']} are learned"
            threading.Event().wait(0.1)
        assert row["junk"] <= tried
        assert answered > ROUNDS
    finally:
        server.kill()
