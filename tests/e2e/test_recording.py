"""What is written down of a session can be replayed: compressed, with literals, in two connections at once."""

import base64
from pathlib import Path

from tests.conftest import unused
from tests.support.dialog import Dialog
from tests.support.imap import Client
from tests.support.recording import Recorder
from tests.support.server import DOMAIN, PASSWORD, Server
from tests.support.transcript import Transcript, exchanges


def plain(address: str) -> str:
    return base64.b64encode(f"\0{address}\0{PASSWORD}".encode()).decode()


def test_a_session_becomes_a_dialog(server: Server, account: str, tmp_path: Path) -> None:
    address, another = f"{account}@{DOMAIN}", f"{unused(server)}@{DOMAIN}"
    with Recorder(server.ports["imap"]) as recorder:
        with Client(recorder.port) as one, Client(recorder.port) as two:
            one.login(address, PASSWORD)
            one.compress()
            one.append("INBOX", b"Subject: x\r\n\r\nx\r\n")
            one.ok("SELECT INBOX (CONDSTORE)")
            two.ok(f"AUTHENTICATE PLAIN {plain(address)}")
            two.ok("SELECT INBOX")
            two.ok("UID STORE 1 +FLAGS ($work)")
            one.ok("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 2)")
            assert two.run("SELECT nowhere").kind == "NO"
    text = Transcript(recorder.heard, address, PASSWORD).text()
    assert PASSWORD not in text
    assert address not in text
    for line in (
        "1! deflate",
        "1<~ * OK [HIGHESTMODSEQ {modseq2}] ~",
        "1> t3 APPEND INBOX {17+}\\r\\nSubject: x\\r\\n\\r\\nx\\r\\n",
        "2> t1 AUTHENTICATE PLAIN {plain}",
    ):
        assert line in text.splitlines()
    assert [(one.kind, one.command) for one in exchanges(recorder.heard) if one.kind != "OK"] == [("NO", "SELECT nowhere")]
    (tmp_path / "dialog.txt").write_text(text)
    values = {"account": another, "password": PASSWORD, "plain": plain(another)}
    Dialog(tmp_path / "dialog.txt", server.ports["imap"], values).run()
