"""Who gets an automatic answer, and who must not (RFC 5230 4.5, 4.6; RFC 3834 2)."""

from collections.abc import Iterable

from mailstack.message.address import Address, parse_address
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import addresses
from mailstack.sieve.state import Run

_TO = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")
_LISTS = ("list-id", "list-help", "list-subscribe", "list-unsubscribe", "list-post", "list-owner", "list-archive")
_BULK = frozenset({"bulk", "junk", "list"})
_ROBOTS = frozenset({"mailer-daemon", "listserv", "majordomo", "noreply", "no-reply", "donotreply", "do-not-reply"})


def silence(run: Run) -> str | None:
    """Why this message gets no answer whoever it is for; None when it may get one."""
    sender, header = run.environment.sender, run.original.header
    if sender is None:
        return "the sender is empty"
    local = sender.local.lower()
    if local in _ROBOTS or local.startswith("owner-") or local.endswith(("-request", "-owner", "-bounces")):
        return "the sender is a program"
    if is_automatic(run):
        return "it was sent by a program (Auto-Submitted)"
    if any(header.values(name) for name in _LISTS):
        return "it came from a mailing list"
    if any(value.strip().lower() in _BULK for value in header.texts("precedence")):
        return "it is bulk mail (Precedence)"
    return None


def is_automatic(run: Run) -> bool:
    """Whether a program sent the message, by its own word (RFC 3834 5)."""
    values = run.original.header.texts("auto-submitted")
    return any(value.partition(";")[0].partition("(")[0].strip().lower() != "no" for value in values)


def key(text: str) -> str | None:
    """The form under which addresses are compared."""
    try:
        return parse_address(text.strip()).key
    except SyntaxProblem:
        return None


def own_address(run: Run, further: Iterable[str]) -> str | None:
    """The address of the user's that the message names as a recipient; None where it names none (RFC 5230 4.5)."""
    mine = {run.environment.recipient.key, *run.environment.addresses}
    mine |= {found for text in further if (found := key(text)) is not None}
    for name in _TO:
        for value in run.original.header.values(name):
            run.spend(len(value))
            for mailbox in addresses(value):
                address = mailbox.address
                if address is not None and (address.key in mine or _without_detail(run, address) in mine):
                    return str(address)
    return None


def _without_detail(run: Run, address: Address) -> str:
    return Address(address.local.partition(run.environment.separator)[0], address.domain).key


def is_own(run: Run, address: Address, further: Iterable[str]) -> bool:
    """Whether an address is the user's: nobody answers oneself."""
    mine = {run.environment.recipient.key, *run.environment.addresses, *(key(text) for text in further)}
    return address.key in mine or _without_detail(run, address) in mine


def own_author(run: Run, line: int, author: str, mine: str) -> str:
    """What a script wants to stand in From, with the user's address `mine` in place of one that is not theirs: a script
    writes in nobody else's name.
    """
    (found,) = addresses(author.encode())
    if found.address is not None and is_own(run, found.address, ()):
        return author
    run.tell(line, f"{found.local}@{found.domain} is not the user's address: {mine} instead")
    name = found.name.replace("\\", "").replace('"', "")
    return f'"{name}" <{mine}>' if name else mine
