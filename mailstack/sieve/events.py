"""imapsieve: scripts that run when IMAP adds messages to a mailbox or changes their flags (RFC 6785)."""

from mailstack.sieve.compiled import Script
from mailstack.sieve.extension import Extension
from mailstack.sieve.problem import SieveProblem

EXTENSION = Extension("imapsieve")
# RFC 6785 3.11: they answer who sent a message, and nobody did.
_OF_DELIVERY = frozenset({"reject", "ereject", "vacation", "vacation-seconds"})


def require_events(script: Script) -> None:
    """Raises SieveProblem for a script that was not written for events (RFC 6785 2.1)."""
    if EXTENSION.name not in script.required:
        raise SieveProblem(1, f'it has no require "{EXTENSION.name}", and can\'t be run on what happens in a mailbox')
    refuse_delivery(script)


def refuse_delivery(script: Script) -> None:
    """Raises SieveProblem for what is possible only while a message is delivered."""
    for name in sorted(_OF_DELIVERY & script.required):
        raise SieveProblem(1, f"{name} is only for mail that is delivered, not for what happens in a mailbox")
