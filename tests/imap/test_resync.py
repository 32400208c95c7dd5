"""QRESYNC when the history of expunges is gone: the index was thrown away, or the oldest of it was let go (RFC 7162 5)."""

from pathlib import Path

from tests.support.imap import Client
from tests.support.server import PASSWORD, Server


def start(folder: Path) -> Server:
    one = Server(folder)
    one.provision()
    one.start()
    return one


def login(server: Server) -> Client:
    client = Client(server.ports["imap"])
    client.login("alice@a.test", PASSWORD)
    return client


def test_without_history_every_uid_that_is_not_there_has_vanished(tmp_path: Path) -> None:
    server = start(tmp_path)
    try:
        with login(server) as client:
            for _ in range(9):
                client.append("INBOX", b"abc")
            client.ok("ENABLE QRESYNC")
            told = client.ok("SELECT INBOX")
            validity, modseq = (next(one.data for one in told if one.code == name) for name in ("UIDVALIDITY", "HIGHESTMODSEQ"))
            client.ok("UID STORE 2,5:6 +FLAGS.SILENT (\\Deleted)")
            client.ok("EXPUNGE")
        server.stop()
        (index,) = server.data.rglob("index.sqlite3")
        for path in index.parent.glob("index.sqlite3*"):
            path.unlink()
        server.start()
        with login(server) as client:
            client.ok("ENABLE QRESYNC")
            known = f"QRESYNC ({validity} {modseq}"
            assert vanished(client, f"SELECT INBOX ({known} 1:9))") == "2,5:6"
            assert vanished(client, f"SELECT INBOX ({known} 1:6,8))") == "2,5:6"
            assert vanished(client, f"SELECT INBOX ({known} 1:9 (1,2 1,3)))") == "5:6"
            assert vanished(client, f"SELECT INBOX ({known} 1:9 (1:6 1,3:4,7:9)))") is None
            assert vanished(client, f"SELECT INBOX ({known} 1:9 (1:3 1:3)))") == "2,5:6"
    finally:
        server.stop()


def vanished(client: Client, command: str) -> str | None:
    found = [response for response in client.ok(command) if response.kind == "VANISHED"]
    return found[0].data if found else None
