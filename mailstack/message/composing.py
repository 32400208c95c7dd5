"""A message from its parts, in MIME, for programs that have no library for mail."""

import email.errors
import email.policy
import re
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage
from email.utils import format_datetime

from mailstack.message.address import Address
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import addresses, fields, split_header

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,75}")
_TYPE = re.compile(r"[a-zA-Z0-9][\w.+-]{0,126}/[a-zA-Z0-9][\w.+-]{0,126}")
# What has a place of its own, or is the server's to say.
_RESERVED = frozenset(
    {
        "authentication-results", "bcc", "cc", "date", "delivered-to", "dkim-signature", "from", "message-id", "mime-version",
        "received", "reply-to", "return-path", "sender", "subject", "to",
    }
)  # fmt: skip
CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


_Person = tuple[str, Address]  # name and address


@dataclass(frozen=True, slots=True)
class Attachment:
    filename: str
    data: bytes
    media_type: str = "application/octet-stream"
    content_id: str | None = None  # shown in the text, which names it as cid:...


@dataclass(frozen=True, slots=True)
class Draft:
    """Addresses as people write them: "Anna <anna@example.org>"."""

    sender: str
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Composed:
    """`recipients`: each once, those of Bcc too, which the message does not name."""

    data: bytes
    sender: Address
    recipients: tuple[Address, ...]


def compose(draft: Draft, moment: datetime, message_id: str) -> Composed:
    """Raises SyntaxProblem, which names what can't be."""
    sender = _person("from", draft.sender)
    people = {name: [_person(name, text) for text in getattr(draft, name)] for name in ("to", "cc", "bcc", "reply_to")}
    recipients = {one.key: one for name in ("to", "cc", "bcc") for _, one in people[name]}
    if not recipients:
        raise SyntaxProblem("to, cc and bcc are empty")
    needs_utf8 = any(one.needs_smtputf8 for _, one in (sender, *(pair for pairs in people.values() for pair in pairs)))
    try:
        data = _written(_message(draft, sender, people, moment, message_id, needs_utf8=needs_utf8))
    except SyntaxProblem:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, email.errors.MessageError) as problem:
        # The library's ways to say no to what it can't read or write.
        raise SyntaxProblem("headers, names or texts: something in them can't be written") from problem
    return Composed(data, sender[1], tuple(recipients.values()))


def _message(
    draft: Draft, sender: _Person, people: dict[str, list[_Person]], moment: datetime, message_id: str, *, needs_utf8: bool
) -> EmailMessage:
    message = EmailMessage(email.policy.SMTPUTF8 if needs_utf8 else email.policy.SMTP)
    message["From"] = _header(sender)
    for name, field_name in (("to", "To"), ("cc", "Cc"), ("reply_to", "Reply-To")):
        if people[name]:
            message[field_name] = tuple(_header(pair) for pair in people[name])
    message["Subject"] = _clean("subject", draft.subject)
    message["Date"] = format_datetime(moment)
    message["Message-ID"] = message_id
    for name, value in draft.headers:
        if not _NAME.fullmatch(name) or name.lower() in _RESERVED or name.lower().startswith("content-"):
            raise SyntaxProblem(f"headers: {name!r} can't be given")
        message[name] = _clean(f"headers.{name}", value)
    _fill(message, draft)
    return message


def _written(message: EmailMessage) -> bytes:
    """Its octets, with the fields that were given and no others: encoded words (RFC 2047) may hold line ends, and are decoded
    and written anew on the way.
    """
    for part in message.walk():
        for name, value in part.items():
            _clean(name.lower(), str(value))
    data = message.as_bytes()
    names = [name.decode() for name, _ in fields(split_header(data)[0])]
    if names != [name for name, _ in message.items()]:
        raise SyntaxProblem("headers: one of them can't be written")
    return data


def _fill(message: EmailMessage, draft: Draft) -> None:
    if draft.text is None and draft.html is None:
        raise SyntaxProblem("text or html is needed")
    if "\0" in (draft.text or "") + (draft.html or ""):
        raise SyntaxProblem("text or html: NUL is in it")
    if draft.text is not None:
        message.set_content(draft.text)
    if draft.html is not None:
        if draft.text is not None:
            message.add_alternative(draft.html, subtype="html")
        else:
            message.set_content(draft.html, subtype="html")
    body = message.get_body(("html",))
    for one in draft.attachments:
        main, sub = _media_type(one)
        name = _clean("attachments.filename", one.filename) or "attachment"
        if one.content_id is None or body is None:
            message.add_attachment(one.data, maintype=main, subtype=sub, filename=name)
        else:
            cid = _clean("attachments.content_id", one.content_id).strip("<>")
            body.add_related(one.data, maintype=main, subtype=sub, filename=name, cid=f"<{cid}>", disposition="inline")


def _media_type(attachment: Attachment) -> tuple[str, str]:
    if not _TYPE.fullmatch(attachment.media_type) or attachment.media_type.lower().startswith(("multipart/", "message/")):
        raise SyntaxProblem(f"attachments: {attachment.media_type!r} can't be the type of one")
    main, _, sub = attachment.media_type.partition("/")
    return main, sub


def _person(what: str, text: str) -> _Person:
    found = addresses(_clean(what, text).encode())
    if len(found) != 1 or found[0].address is None:
        raise SyntaxProblem(f"{what}: {text!r} is not an address, or not one")
    display = text.partition("<")[0].strip().strip('"') if "<" in text else ""
    return display.replace('\\"', '"'), found[0].address


def _header(person: _Person) -> HeaderAddress:
    name, address = person
    local, _, domain = str(address).rpartition("@")
    return HeaderAddress(name, local.strip('"').replace('\\"', '"').replace("\\\\", "\\"), domain)


def _clean(what: str, text: str) -> str:
    """A line that stays one."""
    if CONTROLS.search(text):
        raise SyntaxProblem(f"{what}: a line's end or another control character is in it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SyntaxProblem(f"{what}: half a character is in it") from None
    return text
