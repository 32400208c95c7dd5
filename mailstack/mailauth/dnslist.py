"""Lists in the DNS (RFC 5782): the name to ask for, and what an answer means. A refusal is never taken for a listing."""

import enum
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

_DOMAIN = re.compile(r"(?=.{1,190}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_ENTRY = re.compile(r"(?P<zone>[A-Za-z0-9_.-]+)(?:/(?P<codes>[0-9.,-]+))?\s+(?P<weight>-?[0-9]{1,2}(?:\.[0-9]{1,2})?)")


class Answer(enum.Enum):
    """What a list says of an address or a domain."""

    LISTED = "listed"
    CLEAR = "clear"
    REFUSED = "refused"  # it does not answer this resolver, or is no list any more


@dataclass(frozen=True, slots=True)
class DnsList:
    """A zone and what a listing there weighs; less than nothing for lists of good senders. `codes`: which answers count."""

    zone: str
    weight: float
    codes: tuple[tuple[int, int], ...] = ()  # first and last address; empty: all of 127.0.0.0/8

    @property
    def rule(self) -> str:
        return f"list:{self.zone}"


def parse_list(text: str) -> DnsList:
    """ "ZONE WEIGHT", or "ZONE/127.0.0.2-9,127.0.0.20 WEIGHT" for some answers alone. Raises ValueError."""
    found = _ENTRY.fullmatch(text.strip())
    if found is None or _DOMAIN.fullmatch(found["zone"].rstrip(".").lower()) is None:
        raise ValueError(f'{text!r} is not "zone weight", like "bl.example.org 3" or "bl.example.org/127.0.0.2-9 3"')
    codes = tuple(_codes(one) for one in (found["codes"] or "").split(",") if one)
    return DnsList(found["zone"].rstrip(".").lower(), float(found["weight"]), codes)


def _codes(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    try:
        start = ipaddress.IPv4Address(first)
        end = start if not last else ipaddress.IPv4Address(last if "." in last else f"{first.rpartition('.')[0]}.{last}")
    except ValueError:
        raise ValueError(f"{text!r} is not an answer of a list, like 127.0.0.2 or 127.0.0.2-9") from None
    if int(start) >> 24 != 127 or end < start:
        raise ValueError(f"{text!r} is not an answer of a list: those are in 127.0.0.0/8")
    return int(start), int(end)


def address_name(address: str, zone: str) -> str | None:
    """RFC 5782 2.1, 2.4: the octets or nibbles backwards, before the zone. None for what is no address."""
    try:
        pointer = ipaddress.ip_address(address.partition("%")[0]).reverse_pointer
    except ValueError:
        return None
    return f"{pointer.removesuffix('.in-addr.arpa').removesuffix('.ip6.arpa')}.{zone}"


def domain_name(domain: str, zone: str) -> str | None:
    """RFC 5782 3: the domain before the zone. None for what is no domain that a list could hold."""
    domain = domain.rstrip(".").lower()
    if _DOMAIN.fullmatch(domain) is None or len(domain) + len(zone) > 250:
        return None
    return f"{domain}.{zone}"


def understand(answers: Sequence[str], codes: Sequence[tuple[int, int]] = ()) -> Answer:
    """The A records of an answer, as texts; none: the name is not there."""
    numbers = []
    for text in answers:
        try:
            number = int(ipaddress.IPv4Address(text))
        except ValueError:
            return Answer.REFUSED
        if _is_refusal(number):
            return Answer.REFUSED
        numbers.append(number)
    if any(not codes or any(first <= number <= last for first, last in codes) for number in numbers):
        return Answer.LISTED
    return Answer.CLEAR


def _is_refusal(number: int) -> bool:
    """Outside 127.0.0.0/8 somebody else answers for a zone that is gone. 127.255.255.0/24 is how the operators of lists say
    that they don't answer this resolver, or that many questions; 127.0.0.1, which may list nothing (RFC 5782 5),
    127.0.0.255 and 127.0.1.255 are other words for the same.
    """
    return number >> 24 != 127 or number >> 8 == 0x7FFFFF or number in (0x7F000001, 0x7F0000FF, 0x7F0001FF)
