"""Dovecot beside us: what a client that speaks QRESYNC hears of the same changes."""

from pathlib import Path

import pytest

from tests.support.dovecot import Dovecot
from tests.support.imap import Client
from tests.support.responses import Response
from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients
Heard = tuple[object, ...]


def heard(response: Response) -> Heard | None:
    """What must be the same: MODSEQs and UIDVALIDITY are each server's own."""
    match response.kind:
        case "VANISHED":
            return ("VANISHED", response.code, response.data)
        case "FETCH":
            flags = response.items["FLAGS"]
            assert isinstance(flags, list)
            shown = sorted(str(flag) for flag in flags if flag != "\\Recent")
            return ("FETCH", response.number, response.items["UID"], shown, "MODSEQ" in response.items)
        case "EXISTS":
            return ("EXISTS", response.number)
    return None


def story(client: Client) -> list[tuple[str, list[Heard]]]:
    """Commands with what came of them."""
    for number in range(6):
        client.append("INBOX", b"Subject: mail %d\r\n\r\nx\r\n" % number)
    client.ok("ENABLE QRESYNC")
    told = client.ok("SELECT INBOX")
    validity = next(one.data for one in told if one.code == "UIDVALIDITY")
    start = next(one.data for one in told if one.code == "HIGHESTMODSEQ")
    found: list[tuple[str, list[Heard]]] = []

    def step(command: str) -> None:
        answer = client.run(command)
        name = command.replace(validity, "VALIDITY").replace(start, "START")
        kept = [one for response in client.heard if (one := heard(response)) is not None]
        found.append((f"{name}: {answer.kind} {answer.code == 'HIGHESTMODSEQ'}", kept))

    step("UID STORE 2,3,5 +FLAGS (\\Deleted)")
    step("UID EXPUNGE 5")
    step("EXPUNGE")
    step("EXPUNGE")
    step("UID STORE 1 +FLAGS (\\Flagged)")
    step(f"UID FETCH 1:6 (FLAGS) (CHANGEDSINCE {start} VANISHED)")
    step(f"UID FETCH 3:* (FLAGS) (CHANGEDSINCE {start} VANISHED)")
    step(f"FETCH 1:* (FLAGS) (CHANGEDSINCE {start} VANISHED)")
    step("UID FETCH 1:* (FLAGS) (VANISHED)")
    step(f"SELECT INBOX (QRESYNC ({validity} {start}))")
    step(f"SELECT INBOX (QRESYNC ({validity} {start} 2,4:6))")
    step(f"EXAMINE INBOX (CONDSTORE QRESYNC ({validity} {start} 1:6))")
    step(f"SELECT INBOX (QRESYNC (1 {start} 1:6))")
    step(f"SELECT INBOX (QRESYNC ({validity} {start} 1:*))")
    step(f"SELECT INBOX (QRESYNC ({validity}))")
    return found


def test_what_vanished_and_what_changed(server: Server, account: str, world_folder: Path) -> None:
    with Client(server.ports["imap"]) as ours:
        ours.login(f"{account}@a.test", PASSWORD)
        mine = story(ours)
    for part in ("cur", "new", "tmp"):
        (world_folder / "Maildir" / part).mkdir(parents=True)
    with Dovecot(world_folder) as other:
        theirs = story(other)
    assert mine == theirs
