"""A Dovecot account of years is taken over while mbsync watches, and given back: nothing is fetched twice.

MAILSTACK_MOVING_MESSAGES=20000 for the long form.
"""

import os
import shutil
import time
from pathlib import Path

import pytest

from tests.support.console import Console
from tests.support.dovecot import Dovecot
from tests.support.dovecot_account import FOLDERS, KEYWORDS, SUBSCRIBED, Mbsync, bodies, facts, fill, stores, wire
from tests.support.dovecot_server import DovecotServer
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients
MESSAGES = int(os.environ.get("MAILSTACK_MOVING_MESSAGES", "2000"))
SCRIPT = 'require "fileinto";\nif header :contains "list-id" "debian" { fileinto "Lists/debian"; }\n'
NAMES = list(FOLDERS)


def login(port: int, user: str) -> str:
    """Lines of mbsync's IMAPAccount."""
    return f'Host 127.0.0.1\nPort {port}\nUser {user}\nPass "{PASSWORD}"\nSSLType None\nAuthMechs LOGIN'


def highest(client: Client) -> int:
    heard = client.ok("STATUS INBOX (HIGHESTMODSEQ)")
    value = next(response.items for response in heard if response.kind == "STATUS")["HIGHESTMODSEQ"]
    assert isinstance(value, int)
    return value


def subscribed(client: Client) -> set[str]:
    return {one.value.decode() if isinstance(one.value, bytes) else str(one.value) for one in client.ok('LSUB "" *')}


@pytest.mark.timeout(1800)
def test_a_dovecot_account_comes_and_goes(server: Server, account: str, world_folder: Path) -> None:
    told = []
    clock = time.monotonic()

    def lap(what: str) -> None:
        nonlocal clock
        told.append(f"{what} {time.monotonic() - clock:.1f} s")
        clock = time.monotonic()

    old, client = world_folder / "dovecot", Mbsync(world_folder / "client")
    (old / "Maildir").mkdir(parents=True)
    fill(old, MESSAGES)
    lap(f"{MESSAGES} messages made")
    (old / "sieve").mkdir()
    (old / "sieve" / "lists.sieve").write_text(SCRIPT)
    (old / ".dovecot.sieve").symlink_to("sieve/lists.sieve")
    with DovecotServer(world_folder) as server_before:
        said = client.run(login(server_before.imap, "dovecot"))
        assert bodies(said) >= MESSAGES
        client.run(login(server_before.imap, "dovecot"))
    lap("mbsync from Dovecot")
    had = client.files()
    with Dovecot(old) as dovecot:
        before, modseq, names = facts(dovecot, NAMES), highest(dovecot), subscribed(dovecot)
    files = sorted(str(path.relative_to(old)) for path in (old / "Maildir").rglob("*") if path.is_file())

    # In: what is announced is done, and nothing before.
    console = Console(server)
    address = f"{account}@a.test"
    clock = time.monotonic()
    said = console.run("move", "in", address, str(old / "Maildir"), "--check").stdout
    assert "Nothing was changed." in said, said
    assert "lists (active)" in said, said
    lap("--check")
    said = console.run("move", "in", address, str(old / "Maildir")).stdout
    assert f"{sum(len(rows) for _, _, rows in before.values())} messages" in said, said
    lap("taken over")
    assert files == sorted(str(path.relative_to(old)) for path in (old / "Maildir").rglob("*") if path.is_file())

    with Client(server.ports["imap"]) as one:
        one.login(address, PASSWORD)
        assert facts(one, NAMES) == before
        assert highest(one) >= modseq
        assert subscribed(one) >= names >= set(SUBSCRIBED)
        roles = str([response.items for response in one.ok('LIST (SPECIAL-USE) "" *')])
        assert all(role in roles for role in ("Sent", "Drafts", "Junk", "Trash", "Archive")), roles
    assert console.run("sieve", "show", address, "--name", "lists").stdout == SCRIPT
    clock = time.monotonic()
    said = client.run(login(server.ports["imap"], address))
    lap("mbsync from here")
    assert (bodies(said), stores(said)) == (0, 0), "nothing is fetched, and nothing pushed"
    assert client.files() == had
    assert all(f'SELECT "{wire(name)}"' in said for name in NAMES), said[-3000:]
    with Client(server.ports["imap"]) as one:
        one.login(address, PASSWORD)
        one.append("INBOX", b"Subject: new here\r\n\r\n")
        one.ok("SELECT INBOX")
        one.ok("STORE 1 +FLAGS (\\Flagged here)")
        names, modseq, now = subscribed(one), highest(one), facts(one, NAMES)
    said = client.run(login(server.ports["imap"], address))
    assert (bodies(said), stores(said)) == (1, 0)

    # And back.
    had, new = client.files(), world_folder / "again"
    clock = time.monotonic()
    console.run("move", "out", address, str(new))
    lap("given back")
    assert "is there already" in console.run("move", "out", address, str(new), check=False).stderr
    assert (new / ".dovecot.sieve").read_text() == SCRIPT
    with DovecotServer(world_folder) as dovecot_again:
        clock = time.monotonic()
        said = client.run(login(dovecot_again.imap, "again"))
        lap("mbsync from Dovecot again")
        assert (bodies(said), stores(said)) == (0, 0)
        assert client.files() == had
        with Client(dovecot_again.imap) as one:
            one.login("again", PASSWORD)
            assert facts(one, NAMES) == now
            assert subscribed(one) == names
            assert highest(one) >= modseq
            one.append("INBOX", b"Subject: new there\r\n\r\n")
        assert bodies(client.run(login(dovecot_again.imap, "again"))) == 1
    print("; ".join(told))
    print(f"{len(had)} messages: 0 fetched again, 0 changes sent, there and back; {len(KEYWORDS)} keywords kept")
    shutil.rmtree(old)
