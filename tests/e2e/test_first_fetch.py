"""The first FETCH of a mailbox that was there before the server: made by more than one process, the same as one by one."""

from pathlib import Path

import pytest

from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

COUNT = 1500


@pytest.fixture
def filled(tmp_path: Path):
    server = Server(tmp_path, users=("alice",))
    server.provision()
    folder = tmp_path / "data" / "mail" / "a.test" / "alice" / "Maildir" / "cur"
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "new").mkdir(exist_ok=True)
    (folder.parent / "tmp").mkdir(exist_ok=True)
    for number in range(COUNT):
        text = (
            f"Subject: number {number}\nFrom: Ann <ann{number}@far.test>\nContent-Type: multipart/mixed; boundary=b{number}\n\n"
            f"--b{number}\n\ntext {number}\n--b{number}--\n"
        )
        (folder / f"{1_700_000_000 + number}.M{number}.far:2,S").write_text(text)
    server.start()
    yield server
    server.stop()


def test_all_at_once_is_one_by_one(filled: Server) -> None:
    with Client(filled.ports["imap"], seconds=120) as one:
        one.login("alice@a.test", PASSWORD)
        one.ok("SELECT INBOX")
        for items in ("ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[HEADER.FIELDS (Subject From)]", "BODY"):
            together = {uid: found.items for uid, found in one.fetch(f"1:* ({items})").items()}
            assert len(together) == COUNT
            for uid in (1, 255, 256, 257, 600, COUNT):
                assert one.fetch(f"{uid} ({items} RFC822.SIZE)")[uid].items.items() >= together[uid].items()
