"""SORT and THREAD beside Dovecot's, over the collected mails and over mails that answer one another at random."""

import os
import random
import time
from pathlib import Path

import pytest

from tests.clients.test_dovecot import converted
from tests.support.corpus import mails
from tests.support.dovecot import Dovecot
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients

KEYS = ("ARRIVAL", "CC", "DATE", "DISPLAYFROM", "DISPLAYTO", "FROM", "SIZE", "SUBJECT", "TO")
# Left out of the comparison, for what both may say of them. Dovecot is 2.3.19.
EXPLAINED = {
    # RFC 5256 2.2: a date is one whenever it was, and a time that can't be is midnight; there both are no date.
    "mikel-mail/rfc2822__example04.eml": "1969",
    "mikel-mail/rfc2822__example10.eml": "1969",
    "mikel-mail/plain_emails__raw_email_bad_time.eml": "3609",
    "mikel-mail/error_emails__bad_date_header2.eml": "no time",
    # 8-bit octets that are no UTF-8: here Latin-1, there characters that can't be read.
    "stalwart-mail-parser/legacy__010.eml": "Latin-1",
    "stalwart-mail-parser/legacy__017.eml": "Latin-1",
    "stalwart-mail-parser/legacy__020.eml": "Latin-1",
    "stalwart-mail-parser/legacy__022.eml": "Latin-1",
    "stalwart-mail-parser/legacy__027.eml": "Latin-1",
    "stalwart-mail-parser/legacy__052.eml": "Latin-1",
    # Addresses that are none, read as far as they can be (ENVELOPE differs in the same way).
    "mikel-mail/rfc2822__example13.eml": "an empty line in a name",
    "mikel-mail/error_emails__weird_to_header.eml": "no address",
    "mikel-mail/plain_emails__mix_caps_content_type.eml": "no address",
}
MOMENT = 1_700_000_000


class Both:
    """The same mails with the same dates in both, selected."""

    def __init__(self, ours: Client, other: Client, account: str) -> None:
        self.ours, self.other = ours, other
        ours.login(f"{account}@a.test", PASSWORD)

    def fill(self, folder: Path, collected: list[bytes]) -> None:
        for number, data in enumerate(collected):
            moment = MOMENT + (number * 7919) % 10_007
            path = folder / f"{MOMENT + number}.{number}.host,S={len(data)}:2,"
            path.write_bytes(data)
            os.utime(path, (moment, moment))
            date = time.strftime("%d-%b-%Y %H:%M:%S +0000", time.gmtime(moment))
            self.ours.ok(b'APPEND INBOX "%b" {%d+}\r\n%b' % (date.encode(), len(data), data))
        for one in (self.ours, self.other):
            one.ok("SELECT INBOX")

    def ask(self, command: str) -> tuple[object, object]:
        answers = []
        for one in (self.ours, self.other):
            (found,) = [response for response in one.ok(command) if response.kind in ("SORT", "THREAD")]
            answers.append(found.value if found.kind == "SORT" else found.text)
        return answers[0], answers[1]


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    return tmp_path


NAMES = ("Ann ", "bob ", "Zoe ", "", "=?utf-8?q?=C3=84nne?= ", '"B, C" ')
SUBJECTS = ("one", "Two", "three", "", "=?utf-8?q?gr=C3=BCn?=", "[x]", "[Fwd: one]")


def made(count: int) -> list[bytes]:
    """Mails with few subjects, names and dates, whose references say anything."""
    generator = random.Random(7)
    choose, number_below = generator.choice, generator.randrange

    def some(number: int) -> bytes:
        names = [f"<{number_below(count)}@x.test>" for _ in range(number_below(4))]
        lead, end = choose(("Re: ", "Fwd: ", "[list] ", "", "RE[2]: ")), choose(("", " (fwd)"))
        lines = [
            f"From: {choose(NAMES)}<{choose('abcXYZ')}@{choose('pq')}.test>",
            f"To: {choose(NAMES)}<{choose('mnoP')}@x.test>, other@x.test",
            f"Subject: {lead}{choose(SUBJECTS)}{end}",
            f"Date: {number_below(1, 28)} Feb 2024 {number_below(10, 24)}:00:0{number_below(3)} +0{number_below(9)}00",
        ]
        if generator.random() < 0.9:
            lines.append(f"Message-ID: <{number if generator.random() < 0.95 else number // 2}@x.test>")
        if names:
            lines.append(f"{choose(('References', 'References', 'In-Reply-To'))}: {' '.join(names)}")
        if generator.random() < 0.3:
            lines.append(f"Cc: {choose('stu')}@x.test")
        return "\r\n".join([*lines, "", "x" * number_below(50), ""]).encode()

    return [some(number) for number in range(count)]


def known() -> list[bytes]:
    return [data for name, data in mails() if data and not converted(data) and name not in EXPLAINED]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("which", ["made", "collected"])
def test_sorted_and_threaded_alike(server: Server, account: str, maildir: Path, which: str) -> None:
    collected = made(300) if which == "made" else known()
    with Dovecot(maildir) as other, Client(server.ports["imap"]) as ours:
        both = Both(ours, other, account)
        both.fill(maildir / "Maildir" / "cur", collected)
        different = {}
        for key in KEYS:
            for program in (key, f"REVERSE {key}", f"{key} REVERSE ARRIVAL"):
                mine, theirs = both.ask(f"SORT ({program}) UTF-8 ALL")
                if mine != theirs:
                    different[program] = (mine, theirs)
        for algorithm in ("ORDEREDSUBJECT", "REFERENCES", "REFS"):
            mine, theirs = both.ask(f"THREAD {algorithm} UTF-8 ALL")
            if mine != theirs:
                different[algorithm] = (mine, theirs)
        assert not different
