"""Sieve: 1,000 scripts of 20 rules each over a mail, beside Dovecot's sieve-test.

sieve-test is a process a run, which Dovecot's own deliveries are not; its start is in its figures.
"""

import random
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from bench.corpus import message
from bench.peers import Server
from mailstack.message.address import parse_address
from mailstack.sieve.environment import Environment
from mailstack.sieve.message import Message
from mailstack.sieve.run import answered, run
from mailstack.sieve.script import compile

SCRIPTS = 1000
RULES = 20
PEER_RUNS = 200
REQUIRE = 'require ["fileinto", "imap4flags", "variables", "envelope", "subaddress", "copy"];\n'
ME = parse_address("user1@bench.test")
AROUND = Environment(parse_address("sender@far.test"), ME, datetime(2026, 1, 2, tzinfo=UTC))


def rule(chance: random.Random) -> str:
    """What people's rules look like."""
    word = f"word{chance.randrange(5000)}"
    return chance.choice(
        (
            f'if header :contains "subject" "{word}" {{ fileinto "{word}"; stop; }}\n',
            f'if address :is "from" ["{word}@far.test", "a{word}@far.test"] {{ fileinto "People"; stop; }}\n',
            f'if anyof (header :contains "list-id" "{word}.far", header :is "x-list" "{word}") {{ fileinto "Lists"; stop; }}\n',
            f'if allof (address :domain "from" "{word}.test", not header :contains "subject" "re:") {{ addflag "new"; }}\n',
            f'if header :matches "subject" "[{word}*] *" {{ set "list" "${{1}}"; fileinto "Lists/${{list}}"; stop; }}\n',
            f'if envelope :detail :is "to" "{word}" {{ fileinto "{word}"; }} elsif size :over 20M {{ discard; }}\n',
            f'if exists ["x-{word}", "x-spam"] {{ fileinto "Junk"; stop; }}\n',
        )
    )


def scripts() -> list[bytes]:
    chance = random.Random(1)
    return [(REQUIRE + "".join(rule(chance) for _ in range(RULES))).encode() for _ in range(SCRIPTS)]


def sieve(compiles: bool) -> Callable[[Server], float]:
    """Runs a second, with or without the script's compilation."""

    def measure(server: Server) -> float:
        sources, mail = scripts(), message(1, 10_000)
        return ours(sources, mail, compiles) if server.name == "mailstack" else peer(server, sources, mail, compiles)

    return measure


def ours(sources: list[bytes], mail: bytes, compiles: bool) -> float:
    compiled = [] if compiles else [compile(source) for source in sources]
    begun = time.perf_counter()
    for script in (compile(source) for source in sources) if compiles else compiled:
        answered(run(script, Message(mail), AROUND), lambda question: None)
    return len(sources) / (time.perf_counter() - begun)


def peer(server: Server, sources: list[bytes], mail: bytes, compiles: bool) -> float:
    folder = server.folder
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mail").write_bytes(mail)
    (folder / "dovecot.conf").write_text(
        f"mail_location = maildir:{folder}/Maildir\nmail_uid = 65534\nmail_gid = 65534\n"
        "first_valid_uid = 1\nfirst_valid_gid = 1\nprotocols =\n"
        f"log_path = /dev/stderr\nbase_dir = {folder}/run\nstate_dir = {folder}/state\n"
    )
    for name in ("Maildir", "run", "state"):
        (folder / name).mkdir(exist_ok=True)
        subprocess.run(["chown", "65534:65534", str(folder / name)], check=True)
    return PEER_RUNS / seconds(folder, sources[:PEER_RUNS], compiles)


def seconds(folder: Path, sources: list[bytes], compiles: bool) -> float:
    """How long sieve-test takes for all, each with its script compiled before, or not."""
    command = ["sieve-test", "-c", str(folder / "dovecot.conf"), "-a", str(ME), "-r", str(ME), "-f", "sender@far.test"]
    files = []
    for number, source in enumerate(sources):
        files.append(folder / f"{number}.sieve")
        files[-1].write_bytes(source)
        files[-1].with_suffix(".svbin").unlink(missing_ok=True)
        if not compiles:
            subprocess.run(["sievec", "-c", str(folder / "dovecot.conf"), str(files[-1])], check=True, capture_output=True)
    begun = time.perf_counter()
    for file in files:
        subprocess.run([*command, str(file), str(folder / "mail")], check=True, capture_output=True)
    return time.perf_counter() - begun
