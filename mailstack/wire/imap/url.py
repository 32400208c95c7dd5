"""IMAP URLs of messages, their parts and stretches of them (RFC 5092), as CATENATE names them (RFC 4469 2, RFC 5550 3.3)."""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap.fetch import Section
from mailstack.wire.imap.fetch_grammar import section
from mailstack.wire.imap.framing import CommandLine
from mailstack.wire.imap.scanner import Scanner

_SERVER = re.compile(r"imap://(?:([^@/;]*)(?:;AUTH=[^@/]*)?@)?([^@/:]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(?=/)", re.IGNORECASE)
_MESSAGE = re.compile(
    r"(?:/(?P<mailbox>(?:(?!;UIDVALIDITY=|/;).)+)(?:;UIDVALIDITY=(?P<validity>[1-9][0-9]{0,9}))?/)?;UID=(?P<uid>[1-9][0-9]{0,9})"
    r"(?:/;SECTION=(?P<section>(?:(?!/;)[^;])+))?(?:/;PARTIAL=(?P<start>[0-9]{1,10})(?:\.(?P<length>[1-9][0-9]{0,9}))?)?",
    re.IGNORECASE,
)
LENGTH_LIMIT = 4000


@dataclass(frozen=True, slots=True)
class MessageUrl:
    """`mailbox` is None where the URL is relative to the selected mailbox; `host` and `user` where it names none."""

    host: str | None
    user: str | None
    mailbox: str | None
    uid_validity: int | None
    uid: int
    section: Section
    start: int = 0
    length: int | None = None  # None: up to the end


def parse_url(text: str) -> MessageUrl:
    """Raises SyntaxProblem for what is no URL of a message."""
    if len(text) > LENGTH_LIMIT or not text.isascii() or not text.isprintable():
        raise SyntaxProblem("not an IMAP URL")
    server = _SERVER.match(text)
    found = _MESSAGE.fullmatch(text, server.end() if server is not None else 0)
    if found is None or (server is not None and found["mailbox"] is None):
        raise SyntaxProblem("not an IMAP URL of a message")
    return MessageUrl(
        host=server[2].lower() if server is not None else None,
        user=_decoded(server[1]) if server is not None and server[1] else None,
        mailbox=_decoded(found["mailbox"]) if found["mailbox"] is not None else None,
        uid_validity=int(found["validity"]) if found["validity"] else None,
        uid=int(found["uid"]),
        section=_section(found["section"] or ""),
        start=int(found["start"] or 0),
        length=int(found["length"]) if found["length"] else None,
    )


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise SyntaxProblem("not UTF-8 in an IMAP URL") from None


def _section(text: str) -> Section:
    """As FETCH writes it, in percent encoding."""
    octets = unquote_to_bytes(text)
    if b"\0" in octets or b"<" in octets:
        raise SyntaxProblem("not a section")
    scanner = Scanner(CommandLine((b"[" + octets + b"]",)))
    found = section(scanner, peek=True)
    scanner.end()
    return found
