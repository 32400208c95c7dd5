"""Whether a message meets a criterion, decided by its text."""

from mailstack.message.text import Attachments, Searchable, read_header, read_message
from mailstack.store.errors import MessageGone
from mailstack.store.fulltext.questions import AnyCriterion, Comparison, File, InBody, InField, InText, Sent
from mailstack.store.mailbox.files import MailFiles

READ_LIMIT = 64 << 20  # octets of a message that are looked at


def meets(text: Searchable, criterion: AnyCriterion) -> bool:
    """Whether the text of a message has what is asked for."""
    match criterion:
        case InText(needle):
            return needle in text.body or needle in text.mime or needle in text.head
        case InBody(needle):
            return needle in text.body
        case InField(name, needle):
            return any(needle in value for value in text.values(name))
        case Sent(comparison, day):
            return text.sent is not None and compares(text.sent, comparison, day)


def compares(day: int, comparison: Comparison, wanted: int) -> bool:
    if comparison is Comparison.BEFORE:
        return day < wanted
    return day >= wanted if comparison is Comparison.SINCE else day == wanted


def read(maildir: MailFiles, file: File, attachments: Attachments | None = None) -> Searchable:
    """The text of a message. Raises MessageGone and OSError."""
    return read_message(maildir.read(file.path, 0, READ_LIMIT, convert=file.convert), attachments)


def look(maildir: MailFiles, file: File, criterion: AnyCriterion) -> bool | None:
    """Whether a message meets a criterion; None when it is not where it should be. Raises OSError."""
    try:
        if isinstance(criterion, InField | Sent):
            return meets(read_header(maildir.header(file.path, convert=file.convert)), criterion)
        return meets(read(maildir, file), criterion)
    except (MessageGone, FileNotFoundError):
        return None
