"""Delivery status notifications (RFC 3464, RFC 6522): plain words first, then what programs read."""

import enum
import re
import textwrap
from dataclasses import dataclass
from email.utils import formatdate

from mailstack.message.address import Address
from mailstack.message.header import first

_MESSAGE_ID = re.compile(rb"<[!-;=?-~]{1,250}>")
TEXT_LIMIT = 900  # characters of what a host said


class Action(enum.Enum):
    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What became of one recipient."""

    address: Address
    action: Action
    status: str  # "5.1.1"
    text: str  # the remote host's words, or ours
    original: str | None = None  # ORCPT
    remote: str | None = None  # the host that said it
    retry_until: float | None = None


_SUBJECT = {
    Action.FAILED: "Your message could not be delivered",
    Action.DELAYED: "Your message is delayed",
    Action.DELIVERED: "Your message was delivered",
    Action.RELAYED: "Your message was passed on",
}
_OPENING = {
    Action.FAILED: "This is the mail server at {host}.\n\nYour message could not be delivered to:",
    Action.DELAYED: "This is the mail server at {host}.\n\nYour message could not be delivered yet to the recipients below.\n"
    "You need not send it again: delivery is tried until {until}.",
    Action.DELIVERED: "This is the mail server at {host}.\n\nAs you asked, here is word that your message was delivered to:",
    Action.RELAYED: "This is the mail server at {host}.\n\n"
    "Your message was passed on to a host that sends no confirmations, for:",
}


def delivery_status(
    *,
    id: str,
    host: str,
    sender: Address,
    recipients: list[RecipientReport],
    moment: float,
    arrived: float,
    envelope_id: str | None,
    original_header: bytes,
    original: bytes | None,
    about: str | None = None,
) -> bytes:
    """A whole message. `original`: all of the message to give back, or None for its header alone.

    `about`: the message's own id here, by which its way can be looked up (RFC 3464 2.3.8).
    """
    action = recipients[0].action
    boundary = f"=_{id}_report"
    until = formatdate(recipients[0].retry_until) if recipients[0].retry_until else ""
    lines = [_OPENING[action].format(host=host, until=until), ""]
    for recipient in recipients:
        lines.append(f"  <{recipient.address}>")
        if recipient.text:
            said = f"{recipient.remote} said: " if recipient.remote else ""
            for line in (said + recipient.text)[:TEXT_LIMIT].splitlines():
                lines += [f"    {_printable(piece)}" for piece in textwrap.wrap(line, 200)]
        lines.append("")
    if action is Action.FAILED:
        lines += ["If you need help, send these lines to your postmaster, with the number " + (about or id) + ".", ""]
    status = [f"Reporting-MTA: dns; {host}"]
    if envelope_id:
        status.append(f"Original-Envelope-Id: {_line(envelope_id)}")
    status.append(f"Arrival-Date: {formatdate(arrived)}")
    for recipient in recipients:
        kind = "utf-8" if recipient.address.needs_smtputf8 else "rfc822"
        status.append("")
        if recipient.original:
            status.append(f"Original-Recipient: {_line(recipient.original)}")
        status += [
            f"Final-Recipient: {kind}; {_escaped(str(recipient.address))}",
            f"Action: {recipient.action.value}",
            f"Status: {recipient.status}",
        ]
        if recipient.remote:
            status += [f"Remote-MTA: dns; {_line(recipient.remote)}", f"Diagnostic-Code: smtp; {_line(recipient.text)}"]
        if about:
            status.append(f"Final-Log-ID: {about}")
        if recipient.retry_until:
            status.append(f"Will-Retry-Until: {formatdate(recipient.retry_until)}")
    utf8 = not original_header.isascii() or any(recipient.address.needs_smtputf8 for recipient in recipients)
    inner = original if original is not None else original_header
    kind = "message/rfc822" if original is not None else "text/rfc822-headers"
    eight = not inner.isascii() or utf8 or not "".join(lines).isascii()
    encoding = "8bit" if eight else "7bit"
    head = (
        f"From: Mail Delivery System <MAILER-DAEMON@{host}>\n"
        f"To: <{sender}>\n"
        f"Subject: {_SUBJECT[action]}\n"
        f"Date: {formatdate(moment)}\n"
        f"Message-ID: <{id}@{host}>\n"
        f"{_answered(original_header)}"
        "Auto-Submitted: auto-replied\n"
        "MIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type=delivery-status;\n\tboundary="{boundary}"\n'
        f"Content-Transfer-Encoding: {encoding}\n"
        "\n"
        f"--{boundary}\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n"
        + "\n".join(lines)
        + f"\n--{boundary}\nContent-Type: message/delivery-status\n\n"
        + "\n".join(status)
        + f"\n\n--{boundary}\nContent-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n"
    )
    clean = inner.replace(b"\r\n", b"\n").replace(b"\r", b"").replace(b"\0", b"").rstrip(b"\n").replace(b"\n", b"\r\n")
    return head.replace("\n", "\r\n").encode() + clean + f"\r\n--{boundary}--\r\n".encode()


def _answered(header: bytes) -> str:
    """In which conversation the notice belongs (RFC 5322 3.6.4), where the message has a proper id."""
    found = _MESSAGE_ID.fullmatch(first(header, b"message-id") or b"")
    return f"In-Reply-To: {found[0].decode()}\nReferences: {found[0].decode()}\n" if found else ""


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _line(text: str) -> str:
    """Without anything that would end or bend a field."""
    clean = " ".join(_printable(word) for word in text[:TEXT_LIMIT].split())
    return clean.encode("ascii", "replace").decode()


def _escaped(text: str) -> str:
    """RFC 6533 3: utf-8-addr-xtext, for reports that are ASCII."""
    return "".join(character if character.isascii() else f"\\x{{{ord(character):X}}}" for character in text)
