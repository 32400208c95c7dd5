"""A mail account as years with Dovecot leave it: many folders, keywords, gaps, copies; and mbsync as its client."""

import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.dovecot import NOBODY, Dovecot
from tests.support.imap import Client

FOLDERS = (
    "INBOX", "Sent", "Entw&APw-rfe", "Spam", "Trash", "Archive", "Archive/2024", "Archive/2025", "Lists", "Lists/debian",
    "Lists/R&AOQ-tsel", "Receipts & more",
)  # fmt: skip
KEYWORDS = ("$Forwarded", "$Label1", "NonJunk", "wichtig", "Receipts")
SUBSCRIBED = ("INBOX", "Sent", "Archive/2025", "Lists/R&AOQ-tsel")


def fill(folder: Path, count: int, seed: int = 1) -> None:
    """`count` messages in 12 folders of `folder`/Maildir, all that IMAP can do to them done by Dovecot."""
    chance = random.Random(seed)
    maildir = folder / "Maildir"
    shares = [max(4, int(count * share)) for share in (0.3, 0.1, 0.01, 0.02, 0.03, 0.1, 0.14, 0.1, 0.05, 0.1, 0.02)]
    shares.append(max(4, count - sum(shares)))
    with Dovecot(folder) as client:
        for name in FOLDERS[1:]:
            client.ok(f'CREATE "{wire(name)}"')
    number = 0
    for name, share in zip(FOLDERS, shares, strict=True):
        place = maildir / ("" if name == "INBOX" else "." + wire(name).replace("/", "."))
        for _ in range(share):
            number += 1
            _message(place, number, chance)
    _own(maildir)
    with Dovecot(folder) as client:
        for name, share in zip(FOLDERS, shares, strict=True):
            _live(client, name, share)
        for name in SUBSCRIBED:
            client.ok(f'SUBSCRIBE "{wire(name)}"')


def wire(name: str) -> str:
    return name.replace(" & ", " &- ")


def _message(place: Path, number: int, chance: random.Random) -> None:
    end = "\n" if number % 5 else "\r\n"  # some came with CRLF, as other programs write them
    text = end.join(
        [
            f"From: Sender {number} <s{number % 97}@far.test>",
            "To: nobody@a.test",
            f"Subject: mail {number}",
            f"Message-ID: <{number}@far.test>",
            "Date: Mon, 02 Jan 2023 10:00:00 +0000",
            "",
            *(f"{number} line {line} " + "x" * chance.randrange(60) for line in range(chance.randrange(2, 20))),
            "",
        ]
    ).encode()
    date = 1_600_000_000 + number * 1000
    bare = text.count(b"\n") - text.count(b"\r\n")
    sizes = f",S={len(text)},W={len(text) + bare}" if number % 3 else ""
    name = f"{date}.M{number}P1.far{sizes}"
    part = "new" if number % 50 == 0 else "cur"
    flags = (
        ""
        if part == "new"
        else ":2," + "".join(letter for letter in "FRS" if chance.random() < (0.8 if letter == "S" else 0.1))
    )
    path = place / part / (name + flags)
    path.write_bytes(text)
    os.utime(path, (date, date))


def _own(maildir: Path) -> None:
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(maildir)], check=True)


def _live(client: Client, name: str, share: int) -> None:
    """Keywords, expunges at the end and in the middle, copies into the same folder."""
    client.ok(f'SELECT "{wire(name)}"')
    for number, keyword in enumerate(KEYWORDS):
        client.ok(f"STORE {1 + number % share}:{max(1, share * (number + 1) // 7)} +FLAGS ({keyword})")
    client.ok(f'COPY 1:3 "{wire(name)}"')
    client.ok(f"STORE 2,{share + 3} +FLAGS (\\Deleted)")
    client.ok("EXPUNGE")


class Mbsync:
    """A client that has what it fetched in `home`, and counts what it fetches."""

    def __init__(self, home: Path) -> None:
        if shutil.which("mbsync") is None:
            pytest.skip("isync is not installed (make test-clients installs it)")
        self.home = home
        (home / "mail").mkdir(parents=True)

    def run(self, account: str) -> str:
        """What the client said. `account`: lines of an IMAPAccount."""
        configuration = self.home / "mbsyncrc"
        configuration.write_text(
            f"IMAPAccount one\n{account}\n\nIMAPStore far\nAccount one\n\n"
            f"MaildirStore near\nPath {self.home}/mail/\nInbox {self.home}/mail/INBOX\nSubFolders Verbatim\n\n"
            "Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Near\nSync All\n"
            "Expunge None\nSyncState *\nCopyArrivalDate yes\n"
        )
        done = subprocess.run(
            ["mbsync", "-c", str(configuration), "-DN", "-a"],
            capture_output=True, timeout=300, env={**os.environ, "HOME": str(self.home)},
        )  # fmt: skip
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        assert done.returncode == 0, said[-3000:]
        return said

    def files(self) -> dict[str, float]:
        """Everything that it has, with the times of the messages."""
        return {
            str(path.relative_to(self.home)): path.stat().st_mtime
            for path in (self.home / "mail").rglob("*")
            if path.is_file() and path.parent.name in ("cur", "new")
        }


def bodies(said: str) -> int:
    """How many messages mbsync fetched."""
    return len(re.findall(r"UID FETCH [^\n]*BODY\.PEEK\[\]", said))


def stores(said: str) -> int:
    """How many changes mbsync sent."""
    return len(re.findall(r">>> [0-9]+ (?:UID STORE|APPEND) ", said))


Facts = dict[str, tuple[int, int, dict[int, tuple[frozenset[str], str, int]]]]


def facts(client: Client, names: list[str]) -> Facts:
    """UIDVALIDITY, UIDNEXT, and of each message flags, INTERNALDATE, size: what a client knows of mailboxes."""
    found: Facts = {}
    for name in names:
        heard = client.ok(f'STATUS "{wire(name)}" (UIDVALIDITY UIDNEXT)')
        status = next(response.items for response in heard if response.kind == "STATUS")
        client.ok(f'EXAMINE "{wire(name)}"')
        rows = client.fetch("1:* (FLAGS INTERNALDATE RFC822.SIZE)")
        found[name] = (
            _number(status["UIDVALIDITY"]),
            _number(status["UIDNEXT"]),
            {
                uid: (
                    _flags(one.items["FLAGS"]),
                    _date(one.items["INTERNALDATE"]),
                    _number(one.items["RFC822.SIZE"]),
                )
                for uid, one in rows.items()
            },
        )
    return found


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def _flags(value: object) -> frozenset[str]:
    assert isinstance(value, list)
    return frozenset(str(flag) for flag in value) - {"\\Recent"}


def _date(value: object) -> str:
    """Dovecot writes the first days of a month with a zero, others with a space (RFC 9051 9 date-day-fixed)."""
    assert isinstance(value, bytes)
    return value.decode().strip().zfill(26)
