"""All of the language. What is listed here can be required, and is what ManageSieve announces (RFC 5804 1.7)."""

from types import MappingProxyType

from mailstack.sieve.commands import control, core, fileinto
from mailstack.sieve.comparator import CASEMAP, OCTET
from mailstack.sieve.extension import Extension
from mailstack.sieve.matching import CONTAINS, IS, MATCHES
from mailstack.sieve.tests import address, header, logic

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
    fileinto.EXTENSION,
    fileinto.COPY,
    address.ENVELOPE,
    address.SUBADDRESS,
)
EXTENSIONS = MappingProxyType({extension.name: extension for extension in _ALL})


def capabilities() -> tuple[str, ...]:
    """The names that `require` takes, as they are announced: what every script has needs no telling."""
    return tuple([name for name, extension in EXTENSIONS.items() if not extension.always])
