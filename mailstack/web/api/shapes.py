"""What goes in and comes out of the HTTP API."""

import msgspec


class In(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A request's body."""


class AttachmentIn(In, frozen=True):
    """`content` in base64; with `content_id` the HTML shows it as cid:..."""

    filename: str
    content: bytes
    type: str = "application/octet-stream"
    content_id: str | None = None


class MessageIn(In, frozen=True, rename={"sender": "from"}):
    """A message to send. Text, HTML, or both."""

    sender: str
    to: list[str] = []
    cc: list[str] = []
    bcc: list[str] = []
    reply_to: list[str] = []
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: dict[str, str] = {}
    attachments: list[AttachmentIn] = []


class AccountIn(In, frozen=True):
    """Without a password one is made, and shown in the answer."""

    address: str
    password: str | None = None
    quota: str | None = None


class AccountChange(In, frozen=True):
    """What is not given stays."""

    quota: str | msgspec.UnsetType | None = msgspec.UNSET
    disabled: bool | msgspec.UnsetType = msgspec.UNSET
    admin: bool | msgspec.UnsetType = msgspec.UNSET


class PasswordIn(In, frozen=True):
    """Without a password one is made, and shown in the answer."""

    password: str | None = None


class AliasIn(In, frozen=True):
    """`address` may be "@domain", the catch-all."""

    address: str
    targets: list[str]


class DomainIn(In, frozen=True):
    domain: str


class Accepted(msgspec.Struct, frozen=True):
    """The server answers for the message from here on."""

    id: str
    message_id: str


class RecipientState(msgspec.Struct, frozen=True):
    """`state`: queued, delivered, deferred, failed. `reply` is the other host's."""

    address: str
    state: str
    time: float
    host: str | None = None
    reply: str | None = None


class MessageState(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    id: str
    time: float
    sender: str | None
    subject: str | None
    message_id: str | None
    recipients: list[RecipientState]


class Account(msgspec.Struct, frozen=True):
    """`quota` in octets; `created` in seconds since 1970; `folder` below the server's mail/."""

    address: str
    quota: int | None
    disabled: bool
    folder: str
    created: float
    admin: bool


class Alias(msgspec.Struct, frozen=True):
    address: str
    targets: list[str]


class Domain(msgspec.Struct, frozen=True):
    domain: str


class TextRecord(msgspec.Struct, frozen=True):
    """A TXT record."""

    name: str
    value: str


class NewDomain(msgspec.Struct, frozen=True):
    """`dkim`: to publish."""

    domain: str
    dkim: list[TextRecord]


class QueuedRecipient(msgspec.Struct, frozen=True):
    """`reply`: what its host said last."""

    address: str
    done: bool
    reply: str | None


class Queued(msgspec.Struct, frozen=True):
    """A message that waits. `sender` "<>": a notice; times in seconds since 1970."""

    id: str
    sender: str
    size: int
    received: float
    attempts: int
    next_attempt: float | None
    held: bool
    recipients: list[QueuedRecipient]


class Problem(msgspec.Struct, frozen=True):
    """Why it was not done, in words; `reply` in those of SMTP, where there are some."""

    problem: str
    reply: str | None = None


class Made(msgspec.Struct, frozen=True):
    address: str
    password: str | None
