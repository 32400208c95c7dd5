"""What a judge has learned: as many wanted and unwanted messages of the generator on both sides."""

import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench.peers import Server
from mailstack.message.tokens import key, tokens
from mailstack.store.learned.file import NAME, LearnedFile
from tests.spam.generator import Generator

LEARNED = 600  # messages, half of them unwanted


def labelled(junk: bool) -> Iterator[tuple[int, bytes]]:
    for number, one in enumerate(islice(Generator(1).messages(junk), LEARNED // 2)):
        yield number, one.data


def teach(server: Server, users: list[str]) -> None:
    """Every account of ours has learned as much."""
    for user in users:
        folder = server.maildir(user).parent
        folder.mkdir(parents=True, exist_ok=True)
        file = LearnedFile(folder / NAME)
        for junk in (True, False):
            for number, data in labelled(junk):
                file.learn(f"{junk}{number}", [key(word) for word in tokens(data)], junk, 1)
        file.close()


def teach_rspamd(folder: Path, controller: int) -> None:
    """By the port of its controller."""
    for junk, command in ((True, "learn_spam"), (False, "learn_ham")):
        samples = folder / command
        samples.mkdir()
        for number, data in labelled(junk):
            (samples / f"{number}.eml").write_bytes(data)
        subprocess.run(
            ["rspamc", "-h", f"127.0.0.1:{controller}", command, str(samples)], check=True, stdout=subprocess.DEVNULL
        )
