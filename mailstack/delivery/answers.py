"""The mails that rules write: vacation answers (RFC 5230 5, RFC 3834), notices (RFC 5436), and word of a broken script."""

import textwrap
from collections.abc import Iterable
from email.utils import formatdate

from mailstack.message.address import Address, parse_address
from mailstack.message.entity import given, plain, words
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import addresses
from mailstack.sieve.actions import Notify, Respond, SieveError

# What a script's own fields never are: who wrote it, that a machine did, and the way it went.
_OURS = frozenset(
    {"from", "to", "cc", "bcc", "date", "message-id", "auto-submitted", "mime-version", "sender", "return-path", "received",
     "in-reply-to", "references", "subject", "content-type", "content-transfer-encoding"}
)  # fmt: skip


def vacation(respond: Respond, *, id: str, host: str, moment: float) -> bytes:
    """RFC 5230 5: an answer that nobody answers."""
    head = [
        ("From", author(respond.author, respond.sender)),
        ("To", respond.to),
        ("Subject", words(respond.subject)),
        ("Date", formatdate(moment)),
        ("Message-ID", f"<{id}@{host}>"),
        ("In-Reply-To", _folded(respond.in_reply_to)),
        ("References", _folded(respond.references)),
        ("Auto-Submitted", "auto-replied (vacation)"),
        ("Precedence", "bulk"),
        ("MIME-Version", "1.0"),
    ]
    if respond.is_mime:
        return _fields(head) + given(respond.text)
    return _fields(head) + plain(respond.text)


def notice(notify: Notify, to: str, *, sender: str, id: str, host: str, moment: float, about: str) -> bytes:
    """RFC 5436 2.7. `sender`: the account that notifies; `about`: the Message-ID of what it tells of."""
    importance = {1: "1 (High)", 3: "5 (Low)"}.get(notify.importance, "3 (Normal)")
    more = [(name, words(value)) for name, value in notify.fields if _may_set(name)]
    head = [
        ("From", author(notify.author, sender)),
        ("To", ", ".join(notify.to) or to),
        ("Cc", ", ".join(notify.cc)),
        ("Subject", words(notify.subject)),
        ("Date", formatdate(moment)),
        ("Message-ID", f"<{id}@{host}>"),
        ("References", _folded(about)),
        ("Auto-Submitted", f'auto-notified; owner-email="{sender}"'),
        ("X-Priority", importance),
        ("MIME-Version", "1.0"),
        *more,
    ]
    return _fields(head) + plain(notify.text)


def trouble(error: SieveError, *, script: str, to: str, id: str, host: str, moment: float) -> bytes:
    """To the owner of a script that failed: what is wrong, and that nothing is lost."""
    name = f'"{error.script or script}"'
    text = (
        f"This is the mail server at {host}.\n\n"
        f"Your Sieve script {name} can't be carried out:\n\n"
        f"    line {error.line}: {error.reason}\n\n"
        "Until it is mended, what it would have sorted stays in your INBOX, or where it is. Nothing is lost. "
        "You are told of this once a day at most.\n"
    )
    head = [
        ("From", f"Mail server <postmaster@{to.rpartition('@')[2]}>"),
        ("To", to),
        ("Subject", words(f"Your Sieve script {name} does not work")),
        ("Date", formatdate(moment)),
        ("Message-ID", f"<{id}@{host}>"),
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
    ]
    return _fields(head) + plain("\n".join(textwrap.fill(line, 76) if line[:1] != " " else line for line in text.split("\n")))


def readable(text: str) -> Address | None:
    """An address of a script's; None for what is none."""
    try:
        return parse_address(text)
    except SyntaxProblem:
        return None


def author(text: str, sender: str) -> str:
    """A From field's value with its name encoded; the bare address where the script says nothing that can be read."""
    found = addresses(text.encode("utf-8", "replace")) if text else []
    if len(found) != 1 or found[0].address is None:
        return sender
    return f"{words(found[0].name)} <{found[0].address}>" if found[0].name else str(found[0].address)


def _folded(ids: str) -> str:
    return "\r\n ".join(word for word in ids.split() if word.isascii())


def _fields(fields: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(f"{name}: {value}\r\n".encode("utf-8", "replace") for name, value in fields if value)


def _may_set(name: str) -> bool:
    return name.lower() not in _OURS and name.isascii() and name.replace("-", "").isalnum()
