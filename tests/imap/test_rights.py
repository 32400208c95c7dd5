"""Which rights each command needs (RFC 4314 4), from one table: with these it is done, without any one of them it is not."""

import pytest

from tests.conftest import unused
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

ALL = "lrswipkxtea"
MESSAGE = "{{3+}}\r\nabc"
# Command, the rights that it needs in the other's mailbox, and whether that is selected first.
TABLE = [
    ("SUBSCRIBE {box}", "l", False),
    ("SELECT {box}", "r", False),
    ("EXAMINE {box}", "r", False),
    ("STATUS {box} (MESSAGES)", "r", False),
    ("GETQUOTAROOT {box}", "r", False),
    (f"APPEND {{box}} {MESSAGE}", "i", False),
    ("CREATE {box}/New", "k", False),
    ("DELETE {box}", "x", False),
    ("RENAME {box}/Below {box}/Renamed", "xk", False),
    ("GETACL {box}", "a", False),
    ("SETACL {box} {me} +l", "a", False),
    ("SETACL {box} {owner} -p", "a", False),
    ("DELETEACL {box} {me}", "a", False),
    ("LISTRIGHTS {box} {me}", "a", False),
    ("FETCH 1 (BODY.PEEK[] ENVELOPE)", "r", True),
    ("SEARCH TEXT abc", "r", True),
    ("COPY 1 INBOX", "r", True),
    ("STORE 1 +FLAGS (\\Seen)", "rs", True),
    ("STORE 1 -FLAGS (\\Deleted)", "rt", True),
    ("STORE 1 FLAGS (\\Flagged)", "rw", True),
    ("STORE 1 +FLAGS (keyword)", "rw", True),
    ("EXPUNGE", "re", True),
    ("UID EXPUNGE 1", "re", True),
    ("MOVE 1 INBOX", "rte", True),
    (f"REPLACE 1 INBOX {MESSAGE}", "rte", True),
    (f"REPLACE 1 {{box}} {MESSAGE}", "rtei", True),
    ("COPY 1 {box}", "ri", True),
    ("MOVE 1 {box}", "rtei", True),
]


class Pair:
    """An owner, and another who has what rights he is given."""

    def __init__(self, server: Server, owner: str) -> None:
        self.server = server
        self.owner, self.me = f"{owner}@a.test", f"{unused(server)}@a.test"
        self.mine = Client(server.ports["imap"])
        self.mine.login(self.owner, PASSWORD)
        self.number = 0

    def mailbox(self, rights: str) -> str:
        """A fresh one, with one message; as the other calls it."""
        self.number += 1
        name = f"Box{self.number}"
        for one in (name, f"{name}/Below"):
            self.mine.ok(f"CREATE {one}")
            self.mine.ok(f'SETACL {one} {self.me} "{rights}"')
        self.mine.append(name, b"abc", "(\\Deleted)")
        return f"Shared/{self.owner}/{name}"

    def try_it(self, command: str, rights: str, *, selected: bool) -> tuple[str, str | None]:
        """The answer's kind and code. In a selected mailbox the rights are taken away after SELECT."""
        box = self.mailbox(ALL if selected else rights)
        with Client(self.server.ports["imap"]) as one:
            one.login(self.me, PASSWORD)
            if selected:
                one.ok(f"SELECT {box}")
                self.mine.ok(f'SETACL Box{self.number} {self.me} "{rights}"')
            text = command.format(box=box, me=self.me, owner=self.owner)
            try:
                answer = one.run(text)
            except EOFError:
                return "BYE", None
            return answer.kind, answer.code

    def close(self) -> None:
        self.mine.socket.close()


@pytest.mark.parametrize(("command", "needed", "selected"), TABLE, ids=[row[0].split(" {{")[0] for row in TABLE])
def test_a_command_needs_its_rights_and_no_others(
    server: Server, account: str, command: str, needed: str, selected: bool
) -> None:
    pair = Pair(server, account)
    hidden, shown = ("NO", "NONEXISTENT"), ("NO", "NOPERM")
    assert pair.try_it(command, needed, selected=selected)[0] == "OK"
    for missing in needed:
        rest = ALL.replace(missing, "")
        if selected and missing == "r":
            assert pair.try_it(command, rest, selected=True)[0] == "BYE"
            continue
        found = pair.try_it(command, rest, selected=selected)
        if command.startswith("STORE"):
            assert found == shown
            continue
        assert found == (hidden if missing == "l" else shown)
        if not selected:
            assert pair.try_it(command, rest.replace("l", ""), selected=False) == hidden
    pair.close()


def test_store_changes_what_it_may(server: Server, account: str) -> None:
    pair = Pair(server, account)
    cases = {
        "rs": (["\\Deleted", "\\Seen"], ["\\Deleted"]),
        "rt": (["\\Deleted"], []),
        "rw": (["$x", "\\Deleted", "\\Draft"], ["\\Deleted"]),
        "rswt": (["$x", "\\Deleted", "\\Draft", "\\Seen"], []),
    }
    for rights, (all_set, cleared) in cases.items():
        with Client(server.ports["imap"]) as one:
            one.login(pair.me, PASSWORD)
            one.ok(f"SELECT {pair.mailbox(rights)}")
            one.ok("STORE 1 +FLAGS (\\Seen \\Deleted \\Draft $x)")
            flags = one.fetch("1 FLAGS")[1].items["FLAGS"]
            assert sorted(set(flags) - {"\\Recent"}) == all_set  # type: ignore[arg-type]
            one.ok("STORE 1 FLAGS ()")
            flags = one.fetch("1 FLAGS")[1].items["FLAGS"]
            assert sorted(set(flags) - {"\\Recent"}) == cleared  # type: ignore[arg-type]
    pair.close()


def test_what_comes_in_has_the_flags_that_may_be_set(server: Server, account: str) -> None:
    pair = Pair(server, account)
    for rights, expected in {"ri": [], "ris": ["\\Seen"], "rit": ["\\Deleted"], "riw": ["$x", "\\Draft"]}.items():
        box = pair.mailbox(rights)
        with Client(server.ports["imap"]) as one:
            one.login(pair.me, PASSWORD)
            one.append(box, b"one", "(\\Seen \\Deleted \\Draft $x)")
            one.append("Drafts", b"two", "(\\Seen \\Deleted \\Draft $x)")
            one.ok("SELECT Drafts")
            one.ok(f"COPY * {box}")
            one.ok(f"MOVE * {box}")
            one.ok(f"EXAMINE {box}")
            for uid, response in one.fetch("2:* FLAGS").items():
                flags = response.items["FLAGS"]
                assert sorted(set(flags) - {"\\Recent"}) == expected, uid  # type: ignore[arg-type]
            assert len(one.fetch("2:* FLAGS")) == 3
    pair.close()


def test_select_says_what_may_be_done(server: Server, account: str) -> None:
    pair = Pair(server, account)
    for rights, (kept, mode) in {
        "lr": ([], "READ-ONLY"),
        "lri": ([], "READ-WRITE"),
        "lre": ([], "READ-WRITE"),
        "lrs": (["\\Seen"], "READ-WRITE"),
        "lrt": (["\\Deleted"], "READ-WRITE"),
        "lrw": (["\\*", "\\Answered", "\\Draft", "\\Flagged"], "READ-WRITE"),
    }.items():
        with Client(server.ports["imap"]) as one:
            one.login(pair.me, PASSWORD)
            answer = one.run(f"SELECT {pair.mailbox(rights)}")
            (line,) = [response for response in one.heard if response.code == "PERMANENTFLAGS"]
            assert (sorted(line.data.strip("()").split()), answer.code) == (kept, mode)
    pair.close()


def test_without_s_reading_marks_nothing_and_without_e_close_removes_nothing(server: Server, account: str) -> None:
    pair = Pair(server, account)
    box = pair.mailbox("lrwt")
    with Client(server.ports["imap"]) as one:
        one.login(pair.me, PASSWORD)
        one.ok(f"SELECT {box}")
        one.ok("FETCH 1 BODY[]")
        one.ok("CLOSE")
    pair.mine.ok("SELECT Box1")
    assert "\\Seen" not in pair.mine.fetch("1 FLAGS")[1].items["FLAGS"]  # type: ignore[operator]
    pair.close()


@pytest.mark.parametrize("name", ["Box1", "Box1/Below", "Nothing", "Box1/Nothing", "INBOX", "inbox", "Box1/", "Box1/Below/x"])
def test_what_is_hidden_looks_like_what_is_not_there(server: Server, account: str, name: str) -> None:
    """Every command, word for word, for a mailbox without rights, one that is not there, and an owner who is not there."""
    pair = Pair(server, account)
    pair.mailbox("")
    pair.mine.ok(f"SETACL Sent {pair.me} lr")
    commands = [row[0] for row in TABLE if "{box}" in row[0] and not row[2]] + [
        "MYRIGHTS {box}", "LIST {box} *", 'LIST "" {box}', 'LIST "" {box} RETURN (MYRIGHTS STATUS (MESSAGES))', "COPY 1 {box}",
        "MOVE 1 {box}", f"REPLACE 1 {{box}} {MESSAGE}", "RENAME Junk {box}", "RENAME {box} Junk2",
    ]  # fmt: skip
    with Client(server.ports["imap"]) as one:
        one.login(pair.me, PASSWORD)
        for text in commands:
            heard = []
            for box in (f"Shared/{pair.owner}/{name}", f"Shared/{pair.owner}/Never", "Shared/nobody@a.test/Never"):
                one.append("Drafts", b"abc")
                one.ok("SELECT Drafts")
                answer = one.run(text.format(box=box, me=pair.me, owner=pair.owner))
                heard.append((answer.kind, answer.code, answer.text, [line.kind for line in one.heard]))
            assert heard[0] == heard[1] == heard[2], text
    pair.close()


def test_what_is_below_is_told_only_to_who_may_see_it(server: Server, account: str) -> None:
    """Also in what SELECT and RENAME tell unasked in IMAP4rev2."""
    pair = Pair(server, account)
    box = pair.mailbox("lrkx")
    pair.mine.ok(f'SETACL Box1/Below {pair.me} ""')
    with Client(server.ports["imap"]) as one:
        one.login(pair.me, PASSWORD)
        one.ok("ENABLE IMAP4rev2")

        def attributes(command: str) -> list[object]:
            return [line.items["attributes"] for line in one.ok(command) if line.kind == "LIST"]

        for command in (f"SELECT {box}", f'LIST "" {box}'):
            assert attributes(command) == [["\\HasNoChildren"]]
        pair.mine.ok(f"SETACL Box1/Below {pair.me} l")
        for command in (f"SELECT {box}", f'LIST "" {box}'):
            assert attributes(command) == [["\\HasChildren"]]
        pair.mine.ok(f"SETACL Box1/Below {pair.me} lx")
        pair.mine.ok("CREATE Box1/Hidden")
        pair.mine.ok(f"DELETEACL Box1/Hidden {pair.me}")
        pair.mine.ok("CREATE Top")
        pair.mine.ok(f"SETACL Top {pair.me} lk")
        # What is hidden is not moved by who may not move it.
        assert one.run(f"RENAME {box} Shared/{pair.owner}/Top/Box").code == "NOPERM"
        pair.mine.ok("DELETE Box1/Hidden")
        one.ok("UNSELECT")
        assert attributes(f"RENAME {box} Shared/{pair.owner}/Top/Box") == [["\\HasChildren"]]
    pair.close()


def test_a_search_of_many_mailboxes_passes_over_what_may_not_be_read(server: Server, account: str) -> None:
    """RFC 7377 2.2: what is named must be readable, what is not must be seen too."""
    pair = Pair(server, account)
    readable, hidden, closed = pair.mailbox("lr"), pair.mailbox("r"), pair.mailbox("l")
    with Client(server.ports["imap"]) as one:
        one.login(pair.me, PASSWORD)

        def told(command: str) -> set[object]:
            return {line.value for line in one.ok(command) if line.kind == "ESEARCH"}

        named = {name.encode() for name in (readable, hidden)}
        assert told(f"ESEARCH IN (mailboxes ({readable} {hidden} {closed})) ALL") == named
        assert told(f"ESEARCH IN (subtree Shared/{pair.owner}) ALL") == {readable.encode()}
        assert told("ESEARCH IN (personal) ALL") == set()
    pair.close()
