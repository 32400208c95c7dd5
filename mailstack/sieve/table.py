"""All of the language. What is listed here can be required, and is what ManageSieve announces (RFC 5804 1.7)."""

from types import MappingProxyType

from mailstack.sieve import encoded, events
from mailstack.sieve.commands import (
    control,
    core,
    fileinto,
    flags,
    headers,
    ihave,
    include,
    notify,
    parts,
    reject,
    rewriting,
    vacation,
    variables,
)  # fmt: skip
from mailstack.sieve.comparator import CASEMAP, NUMERIC, OCTET, UNICODE
from mailstack.sieve.extension import Extension
from mailstack.sieve.matching import CONTAINS, IS, MATCHES
from mailstack.sieve.tests import (
    address,
    body,
    date,
    duplicate,
    environment,
    header,
    lists,
    logic,
    mailbox,
    regex,
    relational,
)  # fmt: skip

_ALL = (
    Extension(
        "comparator-i;ascii-casemap",
        always=True,
        commands=control.COMMANDS | core.COMMANDS,
        tests=logic.TESTS | header.TESTS | address.TESTS,
        matches={"is": IS, "contains": CONTAINS, "matches": MATCHES},
        parts=address.PARTS,
        comparator=CASEMAP,
    ),
    Extension("comparator-i;octet", always=True, comparator=OCTET),
    Extension("comparator-i;ascii-numeric", comparator=NUMERIC),
    Extension("comparator-i;unicode-casemap", comparator=UNICODE),
    encoded.EXTENSION,
    fileinto.EXTENSION,
    fileinto.COPY,
    address.ENVELOPE,
    address.SUBADDRESS,
    reject.EXTENSION,
    reject.PROTOCOL,
    vacation.EXTENSION,
    vacation.SECONDS,
    flags.EXTENSION,
    variables.EXTENSION,
    relational.EXTENSION,
    regex.EXTENSION,
    body.EXTENSION,
    date.EXTENSION,
    date.INDEX,
    headers.EXTENSION,
    mailbox.EXTENSION,
    mailbox.MAILBOX_ID,
    mailbox.SPECIAL_USE,
    mailbox.METADATA,
    mailbox.SERVER_METADATA,
    include.EXTENSION,
    duplicate.EXTENSION,
    notify.EXTENSION,
    environment.EXTENSION,
    environment.SPAM,
    environment.SPAM_PLUS,
    environment.VIRUS,
    lists.EXTENSION,
    parts.EXTENSION,
    parts.MIME,
    parts.TEXT,
    rewriting.REPLACE,
    rewriting.ENCLOSE,
    ihave.EXTENSION,
    events.EXTENSION,
)
EXTENSIONS = MappingProxyType({extension.name: extension for extension in _ALL})


def capabilities() -> tuple[str, ...]:
    """The names that `require` takes, as they are announced: what every script has needs no telling."""
    return tuple([name for name, extension in EXTENSIONS.items() if not extension.always])
