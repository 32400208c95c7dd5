"""SEARCH beside Dovecot: the same mails, the same questions, the same answers, before the index has them and after."""

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from mailstack.message.header import split_header
from mailstack.message.text import sent_day
from tests.clients.test_dovecot import converted
from tests.support.corpus import mails
from tests.support.dovecot import Dovecot
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients

QUESTIONS = (
    "ALL", "TEXT mikel", "TEXT MIKEL", "BODY test", "BODY attached", "BODY zzzzqqq", "TEXT zzzzqqq", "SUBJECT test",
    "SUBJECT re", "SUBJECT attachment", "FROM example.com", "FROM mikel", "TO mikel", "TO test", "CC a", "BCC a", "FROM a",
    "SUBJECT e", "TEXT q", 'HEADER Message-ID ""', "HEADER Message-ID example", 'HEADER X-Mailer ""', "HEADER X-Mailer apple",
    'HEADER Bcc ""', "HEADER Content-Type multipart", "HEADER References a", 'HEADER Reply-To ""', "HEADER Received by",
    "SENTSINCE 1-Jan-2008", "SENTBEFORE 1-Jan-2008", "SENTON 22-Nov-2005", "SENTSINCE 1-Jan-2030",
    "OR FROM mikel SUBJECT test", "NOT TEXT e", "NOT FROM a", "TEXT mikel NOT SUBJECT test", "LARGER 5000 BODY the",
    "CHARSET UTF-8 TEXT ü", "CHARSET UTF-8 TEXT Ü", "CHARSET UTF-8 BODY é", "CHARSET UTF-8 SUBJECT テ", "CHARSET UTF-8 BODY の",
    "CHARSET UTF-8 TEXT 日本", "CHARSET UTF-8 BODY ß", "CHARSET UTF-8 TEXT и", "CHARSET UTF-8 SUBJECT té",
)  # fmt: skip

# Where the two differ, and why both may say so. Dovecot is 2.3.19.
EXPLAINED = {
    # HTML is searched as its reader sees it: there, words of its tags are found, too.
    "james/test__resources__eml__embeddedAttachmentWithInline.eml": "HTML",
    "stalwart-mail-parser/malformed__020.eml": "HTML",
    "stalwart-mail-parser/malformed__021.eml": "HTML",
    # RFC 2045 5.2: a Content-Type that can't be read is text/plain; there it is empty, and not searched.
    "james/test__resources__eml__oneAttachmentWithEmptyContentType.eml": "empty type",
    "james/test__resources__eml__oneAttachmentWithoutContentType.eml": "empty type",
    # A body whose encoding is not known is searched as it is; there it is not.
    "mikel-mail/error_emails__content_transfer_encoding_7-bit.eml": "encoding",
    "mikel-mail/error_emails__content_transfer_encoding_plain.eml": "encoding",
    "mikel-mail/error_emails__content_transfer_encoding_spam.eml": "encoding",
    "mikel-mail/error_emails__content_transfer_encoding_with_8bits.eml": "encoding",
    # 8-bit octets without a character set are Latin-1, when they are not UTF-8; there they are nothing.
    "stalwart-mail-parser/legacy__017.eml": "8-bit",
    "stalwart-mail-parser/legacy__039.eml": "8-bit",
    "stalwart-mail-parser/legacy__052.eml": "8-bit",
    # The headers of a message in a message are part of the body.
    "mikel-mail/attachment_emails__attachment_message_rfc822.eml": "inner header",
    "mikel-mail/attachment_emails__attachment_message_rfc822_inline_image.eml": "inner header",
    # A line in the header that is no field.
    "mikel-mail/plain_emails__mix_caps_content_type.eml": "no field",
    "mikel-mail/plain_emails__raw_email_incorrect_header.eml": "no field",
    # Comments in addresses and dates: there, addresses are written anew before they are looked at.
    "mikel-mail/rfc2822__example04.eml": "comments",
    "mikel-mail/rfc2822__example10.eml": "comments",
    "mikel-mail/plain_emails__raw_email_bad_time.eml": "a year that is none",
    "mikel-mail/error_emails__bad_date_header2.eml": "a date that is none",
}


def explained(question: str, name: str, data: bytes) -> bool:
    """A mail without a date is sent on no day; there it is sent in 1970."""
    return name in EXPLAINED or ("SENT" in question and sent_day(split_header(data)[0]) is None)


def asked(client: Client, question: str) -> set[int]:
    found: set[int] = set()
    words = question.split(" ")
    if not question.isascii():
        octets = words.pop().encode()
        question = " ".join([*words, f"{{{len(octets)}+}}\r\n{octets.decode()}"])
    for response in client.ok(f"UID SEARCH {question}"):
        if response.kind == "SEARCH":
            assert isinstance(response.value, list)
            found.update(int(str(one)) for one in response.value)
    return found


@pytest.mark.timeout(300)
def test_searches_find_alike(server: Server, account: str, tmp_path: Path) -> None:
    collected = [(name, data) for name, data in mails() if data and not converted(data)]
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    for number, (_, data) in enumerate(collected, 1):
        (tmp_path / "Maildir" / "cur" / f"{1700000000 + number}.{number}.host:2,").write_bytes(data)
    with Dovecot(tmp_path) as other, Client(server.ports["imap"]) as ours:
        ours.login(f"{account}@a.test", PASSWORD)
        for one in (ours, other):
            one.ok("SELECT INBOX")
        for _, data in collected:
            ours.append("INBOX", data)
        # First nothing is indexed, then everything is.
        for _ in range(2):
            differing = []
            for question in QUESTIONS:
                mine, its = asked(ours, question), asked(other, question)
                differing += [
                    (question, "only there" if uid in its else "only here", name)
                    for uid in sorted(mine ^ its)
                    if not explained(question, *(collected[uid - 1])) and (name := collected[uid - 1][0])
                ]
            assert not differing
            wait_until_indexed(server.data / "mail" / "a.test" / account / "fulltext.sqlite3", len(collected))


def wait_until_indexed(path: Path, count: int) -> None:
    """Raises TimeoutError after a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            if database.execute("SELECT total(length(uids)) FROM pack").fetchone()[0] == 4 * count:
                return
        time.sleep(0.1)
    raise TimeoutError
