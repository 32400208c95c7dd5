"""Dovecot beside us: what it says of the same mails, and what it reads in our Maildir."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.corpus import mails
from tests.support.dovecot import Dovecot
from tests.support.imap import Client
from tests.support.responses import Value
from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients

# Where the two differ, and why both may say so. Dovecot is 2.3.19.
EXPLAINED: dict[str, dict[str, str]] = {
    "BODYSTRUCTURE": {
        # RFC 9051 7.5.2: parameters of RFC 2231 are put together and decoded here; Dovecot sends them as they are.
        "james/test__resources__eml__messageWithNonASCIIFilenameAttachment.eml": "RFC 2231",
        "mikel-mail/attachment_emails__attachment_with_encoded_name.eml": "RFC 2231",
        "mikel-mail/attachment_emails__attachment_with_quoted_filename.eml": "RFC 2231",
        "mikel-mail/multi_charset__japanese_attachment_long_name.eml": "RFC 2231",
        "stalwart-mail-parser/legacy__045.eml": "RFC 2231",
        # The grammar has no multipart without parts: here it is the text that it is, there one empty part is made up.
        "mikel-mail/attachment_emails__attachment_message_rfc822_inline_image.eml": "no parts",
        "mikel-mail/error_emails__bad_date_header2.eml": "no parts",
        "mikel-mail/error_emails__empty_in_reply_to.eml": "no parts",
        "mikel-mail/error_emails__missing_body.eml": "no parts",
        "mikel-mail/error_emails__must_supply_encoding.eml": "no parts",
        # RFC 2045 5.2: a Content-Type that can't be read is text/plain; there it is empty.
        "james/test__resources__eml__oneAttachmentWithEmptyContentType.eml": "empty type",
        # An encoding that is none, or with something behind it: here its first word, there 7bit.
        "mikel-mail/error_emails__content_transfer_encoding_qp_with_space.eml": "encoding",
        "mikel-mail/error_emails__content_transfer_encoding_text-html.eml": "encoding",
        "mikel-mail/error_emails__content_transfer_encoding_with_semi_colon.eml": "encoding",
        "mikel-mail/error_emails__missing_content_disposition.eml": "empty disposition: none here, an empty one there",
        # A boundary with = and no quotes: here the whole word, there up to the =.
        "mikel-mail/mime_emails__raw_email_with_binary_encoded.eml": "boundary",
        "mikel-mail/mime_emails__raw_email_with_illegal_boundary.eml": "boundary",
        "mikel-mail/plain_emails__raw_email_bad_time.eml": "boundary",
        "mikel-mail/mime_emails__raw_email4.eml": "boundary",
        # RFC 2046 5.1.1: the CRLF before a boundary is not the part's, be the part a message that ends with a boundary itself.
        "mox/message__message-rfc822-multipart.eml": "line end",
        "stalwart-mail-parser/malformed__022.eml": "line end",
        "mox/tlsreports__microsoft.eml": "spaces around a value",
    },
    "ENVELOPE": {
        "mikel-mail/error_emails__bad_date_header.eml": "spaces around a value",
        "mikel-mail/error_emails__bad_subject.eml": "spaces around a value",
        "mox/junk__parse3.eml": "spaces around a value",
        # Unfolding takes line breaks away and nothing else (RFC 5322 2.2.3); there blanks are made one.
        "mikel-mail/rfc2822__example14.eml": "blanks",
        "mox/dmarc-reports__xs4all.eml": "blanks",
        # What an address lacks is empty here and MISSING_MAILBOX, MISSING_DOMAIN or SYNTAX_ERROR there.
        "mikel-mail/error_emails__content_transfer_encoding_empty.eml": "missing",
        "mikel-mail/error_emails__encoding_madness.eml": "missing",
        "mikel-mail/error_emails__missing_body.eml": "missing",
        "mikel-mail/mime_emails__raw_email11.eml": "missing",
        "mikel-mail/error_emails__weird_to_header.eml": "missing",
        "mikel-mail/rfc2822__example11.eml": "missing",
        "mikel-mail/rfc2822__example13.eml": "missing",
        # Addresses that are none, read as far as they can be.
        "mikel-mail/plain_emails__mix_caps_content_type.eml": "no address",
        "mikel-mail/plain_emails__raw_email_multiple_from.eml": "no address",
        "mikel-mail/plain_emails__raw_email_with_at_display_name.eml": "no address",
        # A field that is there twice: the first here, the last there.
        "mikel-mail/mime_emails__raw_email_with_binary_encoded.eml": "twice",
        "mikel-mail/mime_emails__raw_email_with_multipart_mixed_quoted_boundary.eml": "twice",
    },
}


def lower(value: Value) -> Value:
    """Types and names are the same in any case."""
    if isinstance(value, list):
        return [lower(one) for one in value]
    return value.lower() if isinstance(value, bytes) else value


def sections(body: Value, number: tuple[int, ...] = ()) -> Iterator[str]:
    """BODY[...] of all parts of a BODYSTRUCTURE."""
    assert isinstance(body, list)
    if isinstance(body[0], list):
        for place, part in enumerate(body[0], 1):
            yield from sections(part, (*number, place))
        return
    name = ".".join(map(str, number or (1,)))
    yield name
    if number:
        yield f"{name}.MIME"
    if len(body) > 8 and isinstance(body[7], list):
        yield from (f"{name}.HEADER", f"{name}.TEXT", f"{name}.HEADER.FIELDS (SUBJECT FROM)")
        inner = body[8]
        assert isinstance(inner, list)
        yield from sections(inner, number or (1,)) if isinstance(inner[0], list) else sections(inner, (*(number or (1,)), 1))


def converted(data: bytes) -> bool:
    """Whether Dovecot changes the octets: it sends CRLF for a bare LF."""
    rest = data.replace(b"\r\n", b"")
    return b"\n" in rest or b"\r" in rest or b"\0" in rest


@pytest.mark.timeout(300)
def test_the_same_mails_are_told_alike(server: Server, account: str, tmp_path: Path) -> None:
    collected = [(name, data) for name, data in mails() if data and not converted(data)]
    for part in ("cur", "new", "tmp"):
        (tmp_path / "Maildir" / part).mkdir(parents=True)
    for number, (_, data) in enumerate(collected, 1):
        (tmp_path / "Maildir" / "cur" / f"{1700000000 + number}.{number}.host:2,").write_bytes(data)
    differing: list[tuple[str, str]] = []
    compared = 0
    with Dovecot(tmp_path) as other, Client(server.ports["imap"]) as ours:
        ours.login(f"{account}@a.test", PASSWORD)
        for one in (ours, other):
            one.ok("SELECT INBOX")
        for _, data in collected:
            ours.append("INBOX", data)
        for uid, (name, _) in enumerate(collected, 1):

            def both(item: str, uid: int = uid) -> list[Value]:
                key = item.replace(".PEEK", "")
                return [one.fetch(f"{uid} {item}")[uid].items[key] for one in (ours, other)]

            for item in ("RFC822.SIZE", "BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "BODY.PEEK[TEXT]<5.20>"):
                item_shown = item.replace("<5.20>", "<5>").replace(".PEEK", "")
                mine, its = [one.fetch(f"{uid} {item}")[uid].items[item_shown] for one in (ours, other)]
                assert mine == its, (name, item)
            for item, explained in EXPLAINED.items():
                mine, its = both(item)
                if lower(mine) != lower(its) and name not in explained:
                    differing.append((name, item))
            mine, its = both("BODYSTRUCTURE")
            if lower(mine) == lower(its):
                for section in sections(mine):
                    mine, its = both(f"BODY.PEEK[{section}]")
                    compared += 1
                    if mine != its and (mine or b"") != (its or b""):
                        differing.append((name, section))
    assert not differing
    assert compared > 500


def flags_of_bodies(client: Client) -> dict[Value, set[str]]:
    found: dict[Value, set[str]] = {}
    for response in client.fetch("1:* (FLAGS BODY.PEEK[])").values():
        flags = response.items["FLAGS"]
        assert isinstance(flags, list)
        found[response.items["BODY[]"]] = {str(flag) for flag in flags} - {"\\Recent"}
    return found


def test_dovecot_reads_our_maildir(server: Server, account: str, tmp_path: Path) -> None:
    """The same messages, flags and keywords; UIDs are its own."""
    sent = [data for _, data in mails() if data and not converted(data)][:30]
    flags = ["", "\\Seen", "\\Flagged \\Answered", "$Forwarded", "\\Draft \\Deleted red $MDNSent"]
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        one.ok("CREATE Work/Gr&APwA3w-e")
        for number, data in enumerate(sent):
            one.append("INBOX", data, f"({flags[number % len(flags)]})")
        one.append("Work/Gr&APwA3w-e", b"Subject: inside\r\n\r\n")
        one.ok("SELECT INBOX")
        one.ok("STORE 1 +FLAGS (later)")
        told = flags_of_bodies(one)
        mailboxes = {response.value for response in one.ok('LIST "" *')}
    shutil.copytree(server.data / "mail" / "a.test" / account / "Maildir", tmp_path / "Maildir")
    with Dovecot(tmp_path) as other:
        other.ok("SELECT INBOX")
        read = flags_of_bodies(other)
        assert read == told
        assert len(read) == len(set(sent))
        assert {response.value for response in other.ok('LIST "" *')} >= mailboxes - {b"Work"}
        other.ok("SELECT Work/Gr&APwA3w-e")
        assert other.fetch("1 BODY.PEEK[]")[1].items["BODY[]"] == b"Subject: inside\r\n\r\n"
