"""Nothing is announced that no dialog proves, and every command has a dialog in which it succeeds."""

import re
from pathlib import Path

from mailstack.imap.capability import on_request
from mailstack.imap.table import HANDLERS
from mailstack.wire.imap import commands
from mailstack.wire.imap.grammar import COMMANDS
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

DIALOGS = Path(__file__).parents[1] / "dialogs" / "imap"


def announced(server: Server, account: str) -> set[str]:
    found: set[str] = set()
    if shown := on_request(HANDLERS):
        server.run("user", "capability", f"{account}@a.test", *(word for name in shown for word in ("--show", name)))
    for tls in ({}, {"tls": True}, {"tls": True, "tls12": True}):
        with Client(server.ports["imaps" if tls else "imap"], **tls) as one:
            found.update(one.greeting.data.split())
            found.update(str(word) for word in one.ok("CAPABILITY")[0].value or [])  # type: ignore[union-attr]
            one.login(f"{account}@a.test", PASSWORD)
            found.update(str(word) for word in one.ok("CAPABILITY")[0].value or [])  # type: ignore[union-attr]
    return {re.sub(r"^(APPENDLIMIT|IMAPSIEVE)=.+$", r"\1", word) for word in found}


def test_each_capability_has_its_dialog(server: Server, account: str) -> None:
    proved: set[str] = set()
    for path in DIALOGS.glob("*.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("# Proves: "):
                proved.update(line.removeprefix("# Proves: ").split())
    assert announced(server, account) == proved


def test_each_command_succeeds_in_a_dialog() -> None:
    succeeded: set[str] = set()
    for path in DIALOGS.glob("*.txt"):
        sent: dict[tuple[str, str], str] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            who, text = line[:1], line.partition(" ")[2]
            if line[1:3] == "> ":
                for command in text.split("\\r\\n"):
                    found = re.match(r"(\w+) ((?:UID )?[A-Z]+)\b", command, re.IGNORECASE)
                    if found is not None:
                        sent[(who, found[1])] = found[2].upper()
            elif (found := re.match(r"(\w+) OK ", text)) is not None:
                succeeded.add(sent.get((who, found[1]), ""))
    # SETQUOTA is answered NO to everybody.
    assert set(COMMANDS) - succeeded == {"SETQUOTA"}


def test_each_command_has_its_handler() -> None:
    """STARTTLS is the connection's own."""
    values = {value for value in vars(commands).values() if isinstance(value, type) and value.__module__ == commands.__name__}
    assert values - set(HANDLERS) == {commands.StartTls, commands.AppendMessage}


# Commands that leave everything as it is; SELECT is made an EXAMINE, and CLOSE removes nothing then.
READING = {
    "Authenticate", "CancelUpdate", "Capability", "Check", "Close", "Compress", "Enable", "Fetch", "GetAcl", "GetMetadata",
    "GetQuota", "GetQuotaRoot", "Id", "Idle", "ListMailboxes", "ListRights", "Login", "Logout", "Lsub", "MyRights", "Namespace",
    "Noop", "Notify", "Search", "SearchMailboxes", "Select", "Sort", "Status", "Thread", "UidBatches", "Unauthenticate",
    "Unselect", "UrlFetch", "Xlist",
}  # fmt: skip


def test_what_changes_something_is_not_for_a_login_that_may_only_read() -> None:
    assert {command.__name__ for command, handler in HANDLERS.items() if not handler.changes} == READING
