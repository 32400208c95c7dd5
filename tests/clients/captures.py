"""Sessions of real programs, written down as dialog files: python -m tests.clients.captures [NAME ...]

Each is what a test of this folder lets its program do, with a Recorder between program and server. tests/dialogs/imap/clients/
has them; the suite replays them without the programs.
"""

import copy
import datetime
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients import test_clients, test_evolution, test_terminals, test_thunderbird
from tests.support.recording import Recorder
from tests.support.server import DOMAIN, PASSWORD, Server
from tests.support.transcript import Transcript, exchanges

FOLDER = Path(__file__).parents[1] / "dialogs" / "imap" / "clients"
SLOW = 0.1  # seconds of one command; IDLE aside


@dataclass(frozen=True, slots=True)
class Capture:
    """`package`: of Debian, whose version is told; `what`: what the session shows."""

    package: str
    program: str
    what: str
    act: Callable[..., None]
    more: tuple[Any, ...] = ()


CAPTURES = {
    "aerc": Capture("aerc", "aerc", "it reads, moves and comes back", test_terminals.test_aerc_reads_and_archives),
    "alpine": Capture(
        "alpine", "Alpine", "it reads, saves and expunges", test_terminals.test_alpine_reads_saves_and_expunges
    ),
    "evolution": Capture(
        "evolution-data-server", "Evolution's engine (Camel)", "it files, flags, searches, expunges and renames",
        test_evolution.read_file_flag_and_remove, ("NONE",),
    ),
    "fetchmail": Capture("fetchmail", "fetchmail", "it takes all and leaves nothing", test_clients.test_fetchmail_collects),
    "getmail": Capture("getmail6", "getmail", "two runs; it knows by UIDs what it has", test_clients.test_getmail_collects),
    "mbsync": Capture("isync", "mbsync", "two runs, with changes between them", test_clients.test_mbsync_both_ways, (3,)),
    "mutt": Capture("mutt", "mutt", "it reads and copies to a file", test_clients.test_mutt_reads, ("imap",)),
    "neomutt": Capture(
        "neomutt", "NeoMutt", "it comes back by QRESYNC, and idles", test_terminals.test_neomutt_comes_back_by_qresync
    ),
    "offlineimap": Capture(
        "offlineimap3", "OfflineIMAP", "its first run", test_clients.test_offlineimap_synchronises
    ),
    "thunderbird": Capture(
        "thunderbird", "Thunderbird", "it sets up, idles, flags, files, deletes and sends", test_thunderbird.a_day_of
    ),
}  # fmt: skip


def capture(name: str, server: Server, account: str) -> None:
    """Its file; and what was refused or took long, on the screen."""
    one = CAPTURES[name]
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", one.package], capture_output=True, text=True, check=True)
    through = copy.copy(server)
    with Recorder(server.ports["imap"]) as recorder, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        through.ports = {**server.ports, "imap": recorder.port}
        one.act(through, account, Path(folder), *one.more)
        text = Transcript(recorder.heard, f"{account}@{DOMAIN}", PASSWORD).text()
    head = f"# {one.program} {version.stdout}, captured on {datetime.date.today()} (tests/clients/captures.py): {one.what}.\n"
    (FOLDER / f"{name}.txt").write_text(head + text, encoding="utf-8")
    print(f"{name}: {len(text.splitlines())} lines")
    for found in exchanges(recorder.heard):
        if found.kind != "OK" or found.seconds > SLOW:
            print(f"  {found.kind} after {found.seconds * 1000:.0f} ms: {found.command[:100]}")


def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        users = tuple(f"user{number}" for number in range(len(CAPTURES)))
        # SCRAM's challenges can't be replayed.
        server = Server(Path(folder), users=users, environment={"MAILSTACK_AUTH__SCRAM": "off"})
        server.provision()
        server.start()
        try:
            for account, name in zip(users, names or sorted(CAPTURES), strict=False):
                capture(name, server, account)
        finally:
            server.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
