"""address (RFC 5228 5.1), envelope (5.4), and the parts of addresses (2.7.4, RFC 5233)."""

from collections.abc import Callable, Iterable, Sequence

from mailstack.message.header import Mailbox
from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Extension, Kind, Part, Test
from mailstack.sieve.matching import checked
from mailstack.sieve.mimeparts import headers_of
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check
from mailstack.sieve.tests.header import chosen, names_of

FIELDS = frozenset(
    {
        "from",
        "to",
        "cc",
        "bcc",
        "sender",
        "reply-to",
        "resent-from",
        "resent-to",
        "resent-cc",
        "resent-bcc",
        "resent-sender",
        "resent-reply-to",
        "return-path",
        "errors-to",
        "disposition-notification-to",
        "return-receipt-to",
        "abuse-reports-to",
        "complaints-to",
        "x-complaints-to",
        "delivered-to",
        "envelope-to",
        "x-original-to",
        "apparently-to",
        "mail-followup-to",
        "mail-reply-to",
        "followup-to",
        "approved-by",
        "x-envelope-from",
        "x-envelope-to",
        "x-original-from",
        "x-forwarded-to",
        "x-forwarded-for",
        "x-beenthere",
        "x-rcpt-to",
        "return-to",
    }
)


def _all(local: str, domain: str, separator: str) -> str | None:
    return f"{local}@{domain}" if domain else local


def _localpart(local: str, domain: str, separator: str) -> str | None:
    return local


def _domain(local: str, domain: str, separator: str) -> str | None:
    return domain


def _user(local: str, domain: str, separator: str) -> str | None:
    return local.partition(separator)[0]


def _detail(local: str, domain: str, separator: str) -> str | None:
    """RFC 5233 4: without a separator there is no detail, which matches nothing; behind one it may be empty."""
    _, found, detail = local.partition(separator)
    return detail if found else None


PARTS: dict[str, Part] = {"all": _all, "localpart": _localpart, "domain": _domain}


def _address(bound: Bound) -> Check:
    names, part, choose, headers = address_names(bound), bound.address_part(), chosen(bound), headers_of(bound)

    def values(run: Run) -> Sequence[str]:
        found: list[str] = []
        for header in headers(run):
            for name in names(run):
                for mailboxes in choose(header.addresses(name)):
                    run.spend(10 * len(mailboxes))
                    found += parts_of(mailboxes, part, run.environment.separator)
        return found

    return checked(values, bound.match())


def address_names(bound: Bound) -> Callable[[Run], Sequence[str]]:
    """Names of fields that hold addresses; others are a mistake (RFC 5228 5.1)."""
    names = names_of(bound, 0)
    for name in bound.texts(0).constant or ():
        if name.lower() not in FIELDS:
            raise bound.problem(f"the field {name[:100]!r} holds no addresses")
    return lambda run: [name for name in names(run) if name in FIELDS]


def parts_of(mailboxes: Iterable[Mailbox], part: Part, separator: str) -> list[str]:
    """One part of each address of a field. What is none has only :all (RFC 5228 2.7.4)."""
    found = []
    for mailbox in mailboxes:
        if part is not _all and not (mailbox.local and mailbox.domain):
            continue
        text = part(mailbox.local, mailbox.domain, separator)
        if text is not None:
            found.append(text)
    return found


def _envelope(bound: Bound) -> Check:
    fields = bound.texts(0)
    for name in fields.constant or ():
        if name.lower() not in ("from", "to"):
            raise bound.problem(f"the envelope has no part {name[:100]!r}: it is 'from' or 'to'")
    part = bound.address_part()

    def values(run: Run) -> Sequence[str]:
        around = run.environment
        if around.event:
            raise bound.problem("what is in a mailbox has no envelope")  # RFC 6785 4.6
        found = []
        for name in fields(run):
            address = {"from": around.sender, "to": around.recipient}.get(name.lower())
            if address is not None:
                text = part(address.local, address.domain, around.separator)
                if text is not None:
                    found.append(text)
            elif name.lower() == "from":
                found.append("")  # RFC 5228 5.4: the null sender, whatever part is asked for
        return found

    return checked(values, bound.match())


TESTS = {"address": Test(_address, (Kind.STRINGS, Kind.STRINGS), matches=True, parts=True)}
ENVELOPE = Extension("envelope", tests={"envelope": Test(_envelope, (Kind.STRINGS, Kind.STRINGS), matches=True, parts=True)})
SUBADDRESS = Extension("subaddress", parts={"user": _user, "detail": _detail})
