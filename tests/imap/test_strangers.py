"""One account's commands, however odd, never show another's mail; and never a word of the server's insides."""

import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

TOKEN = b"s3cr3t-t0k3n"
BOXES = ("INBOX", "secret-box")
NAMES = [
    "INBOX", "Sent", "*", "%", '""', "../{other}/Maildir", "../../{other}/Maildir/cur", "/etc/passwd", "#user/{other}",
    "~{other}", "{other}", "{other}@a.test", "{other}@a.test/INBOX", ".{other}", "..", "&-", '"a\\"b"', "&AC8-..&AC8-{other}",
    "Shared/{other}@a.test", "Shared/{other}@a.test/INBOX", "Shared/{other}@a.test/secret-box", "Shared/{other}@a.test/new",
    "Shared/{other}@a.test/Dropped", "Shared/*", "Shared/{other}@a.test/../INBOX", "Shared/{other}@a.test/secret-box/below",
    "INBOX/../{other}", "\xff", "{{5+}}\r\n../{other}", "tmp", "new", "Private", "secret-box",
]  # fmt: skip
WORDS = [
    "SELECT", "EXAMINE", "STATUS", "LIST", "LSUB", "FETCH", "UID FETCH", "SEARCH", "UID SEARCH", "COPY", "MOVE", "STORE",
    "APPEND", "CREATE", "DELETE", "RENAME", "SUBSCRIBE", "GETQUOTA", "GETQUOTAROOT", "NAMESPACE", "ENABLE", "ID", "EXPUNGE",
    "CLOSE", "IDLE", "NOOP", "CHECK", "LOGIN", "AUTHENTICATE", "UNSELECT", "GETACL", "GETMETADATA",
    "SETACL", "DELETEACL", "LISTRIGHTS", "MYRIGHTS", "REPLACE", "UID MOVE", "UID COPY", "UID EXPUNGE", "SORT", "THREAD",
    "NOTIFY",
]  # fmt: skip
ARGUMENTS = [
    "1", "1:*", "*", "$", "(FLAGS)", "BODY[]", "(ENVELOPE BODYSTRUCTURE)", "BODY[1.MIME]", "RFC822", "ALL", "TEXT", "OR",
    "NOT", "(MESSAGES UIDNEXT)", "RETURN (ALL)", "(SUBSCRIBED)", "+FLAGS", "(\\Deleted)", "{{3+}}\r\nabc", "(((", ")", '"',
    "UTF8=ACCEPT", "IMAP4rev2", "CONDSTORE", "PLAIN", "AGJvYgBi", "CHARSET", "UTF-8", "4294967295", "0", "-1",
    "lrswipkxtea", "+a", "anyone", "RETURN (MYRIGHTS STATUS (MESSAGES SIZE))", "(QRESYNC (1 1))", "(REFS)",
    "UID", "HEADER", "Subject", "s3cr3t",
]  # fmt: skip
COMMAND = st.tuples(st.sampled_from(WORDS), st.lists(st.sampled_from(NAMES + ARGUMENTS), max_size=4))
OTHER_BYTES = st.binary(max_size=40)
EXAMPLES = int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "300"))


def hold(server: Server, mine: str, other: str, examples: int) -> None:
    with Client(server.ports["imap"]) as one:
        one.login(f"{other}@a.test", PASSWORD)
        one.ok("CREATE secret-box")
        for mailbox in BOXES:
            one.append(mailbox, b"Subject: " + TOKEN + b"\r\n\r\n" + TOKEN + b"\r\n", "($" + TOKEN.decode() + ")")
        # What may be known of, or added to, may not be read or changed.
        one.ok("CREATE Dropped")
        one.ok(f"SETACL secret-box {mine}@a.test l")
        one.ok(f"SETACL Dropped {mine}@a.test lip")
        before = state(one)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.one_of(COMMAND, OTHER_BYTES), min_size=1, max_size=8))
    def commands(drafts: list[tuple[str, list[str]] | bytes]) -> None:
        with Client(server.ports["imap"], seconds=20) as one:
            one.login(f"{mine}@a.test", PASSWORD)
            stream = b""
            for number, draft in enumerate(drafts):
                if isinstance(draft, bytes):
                    stream += draft + b"\r\n"
                else:
                    text = " ".join([draft[0], *draft[1]]).replace("{{", "{").replace("}}", "}").replace("{other}", other)
                    stream += f"r{number} {text}\r\n".encode("latin-1")
            one.send(stream + b"DONE\r\n" + b"xxxxx\r\n" * 3 + b"zz LOGOUT\r\n")
            heard = b""
            try:
                while b"\nzz OK" not in heard:
                    one._more()
                    heard += one.buffer
                    one.buffer = b""
                    if re.search(rb"\+ [^\r\n]*\r\n\Z", heard):
                        one.send(b"*\r\nDONE\r\nzz LOGOUT\r\n")  # it waits for a literal or an answer
            except (EOFError, ConnectionError):
                pass
            assert TOKEN not in heard.replace(b"s3cr3t ", b"")
            assert b"Traceback" not in heard
            assert b"SERVERBUG" not in heard, heard
            assert b".py" not in heard

    commands()
    with Client(server.ports["imap"]) as one:
        one.login(f"{other}@a.test", PASSWORD)
        assert state(one) == before


def state(one: Client) -> object:
    """All that others must not change; the mailbox that takes their messages may have more of them."""
    found: list[object] = [sorted(str(response.value) for response in one.ok('LIST "" *'))]
    for mailbox in BOXES:
        one.ok(f"EXAMINE {mailbox}")
        fetched = one.fetch("1:* (FLAGS RFC822.SIZE)")
        found.append([(uid, response.items["FLAGS"], response.items["RFC822.SIZE"]) for uid, response in fetched.items()])
    for mailbox in (*BOXES, "Dropped"):
        found.append([response.value for response in one.ok(f"GETACL {mailbox}")])
    return found


def test_strangers(server: Server, account: str) -> None:
    other = f"user{int(account.removeprefix('user')) + 1}"
    server.used_accounts += 1  # type: ignore[attr-defined]
    hold(server, account, other, 60)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
def test_strangers_for_long(server: Server, account: str) -> None:
    other = f"user{int(account.removeprefix('user')) + 1}"
    server.used_accounts += 1  # type: ignore[attr-defined]
    hold(server, account, other, EXAMPLES)
