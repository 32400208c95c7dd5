"""How much of the labelled corpus is caught, and how much wrongly: `python -m tests.spam.measuring [CORPUS-FOLDER]`."""

import sys
import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from mailstack.message.tokens import key, tokens
from mailstack.policy.spam.bayes import UNWANTED, finding
from mailstack.store.learned.file import LearnedFile
from tests.spam.generator import Generator

SEEDS = 8
JUNK_WEIGHT = 5.0  # what the default score of Junk is


def learn(file: LearnedFile, generator: Generator, number: int, start: int = 0) -> None:
    """As many messages, half of each kind."""
    for junk in (True, False):
        for place, message in enumerate(islice(generator.messages(junk), number // 2)):
            file.learn(f"{junk}{start + place}", [key(one) for one in tokens(message.data)], junk, 1)


def judged(file: LearnedFile, messages: Iterable[bytes], other: float = 0.0) -> list[bool]:
    """Which of them would go into Junk, where `other` evidence weighs that much."""
    found = [finding(file.counts([key(one) for one in tokens(data)])) for data in messages]
    return [one is not None and one.weight + other >= JUNK_WEIGHT for one in found]


def rates(file: LearnedFile, generator: Generator, number: int, other: float = 0.0) -> tuple[float, float]:
    """The shares of unwanted mail that is caught, and of wanted mail that is."""
    caught = judged(file, (one.data for one in islice(generator.messages(True), number)), other)
    wrong = judged(file, (one.data for one in islice(generator.messages(False), number)), other)
    return sum(caught) / number, sum(wrong) / number


def main(folder: str | None) -> None:
    print(f"{SEEDS} seeds, 1,000 messages of each kind for each; weights {UNWANTED}")
    others = [path.read_bytes() for path in sorted(Path(folder).rglob("*.eml"))] if folder else []
    for number in (20, 50, 100, 200, 1000):
        line = f"learned {number:5}:"
        files = []
        with tempfile.TemporaryDirectory() as place:
            for seed in range(SEEDS):
                files.append(LearnedFile(Path(place) / f"{seed}.sqlite3"))
                learn(files[-1], Generator(seed, 1), number)
            for other in (0.0, 1.0, 2.0):
                found = [rates(file, Generator(seed, 2), 1000, other) for seed, file in enumerate(files)]
                caught, wrong = (sum(one[place] for one in found) / SEEDS * 100 for place in (0, 1))
                line += f"  with {other} of other evidence caught {caught:.1f} %, wrongly {wrong:.2f} %;"
            if others:
                strange = sum(sum(judged(file, others)) for file in files) / SEEDS
                line += f"  of {len(others)} strange ones {strange:.1f}"
            for file in files:
                file.close()
        print(line)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
