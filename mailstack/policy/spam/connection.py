"""Rules about how a message came: the name that its sender gives itself, and the name that its address has."""

import re

from mailstack.mailauth.results import Result
from mailstack.message.address import is_ip
from mailstack.policy.spam.facts import Facts

_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_LINE = re.compile(
    r"(?:^|[.-])(?:dyn(?:amic)?|dhcp|pool|dial(?:up|in)?|ppp|[av]?dsl|cable|broadband|dip\d*|client)(?:[.-]|\d|$)"
)


def helo_is_ours(facts: Facts) -> str | None:
    """Nobody else has our name: it is put on by those who hope to be taken for us."""
    return "says to be this server" if facts.helo_name == facts.hostname.lower() and not facts.here else None


def helo_is_a_wrong_literal(facts: Facts) -> str | None:
    if facts.here or facts.helo_literal is None or facts.helo_literal == facts.peer_address:
        return None
    return f"says to be {facts.helo[:60]}, and comes from {facts.peer}"


def helo_is_a_literal(facts: Facts) -> str | None:
    """Allowed to those without a name (RFC 5321 4.1.4): servers that send mail have one."""
    if facts.here or facts.helo_literal is None or facts.helo_literal != facts.peer_address:
        return None
    return f"has no name but {facts.helo[:60]}"


def helo_is_no_name(facts: Facts) -> str | None:
    """RFC 5321 2.3.5: a name in the DNS is a whole one. Addresses without brackets are no names."""
    if facts.here or facts.helo_literal is not None:
        return None
    if _NAME.fullmatch(facts.helo_name) and not is_ip(facts.helo_name):
        return None
    return f"says {facts.helo[:60]!r}, which is no name of a host"


def no_reverse(facts: Facts) -> str | None:
    known = facts.authentication
    if facts.here or known is None or known.iprev.result not in (Result.FAIL, Result.PERMERROR):
        return None
    return f"{facts.peer} has no name that leads back to it"


def reverse_of_a_line(facts: Facts) -> str | None:
    """A name that providers give to lines of customers: its own address in it, or words for dial-in."""
    name = facts.authentication.iprev.name if facts.authentication is not None and not facts.here else None
    if not name:
        return None
    name = name.lower()
    pieces = facts.peer_address.split(".")
    numbers = re.findall(r"\d+", name)
    if (len(pieces) == 4 and sum(one.lstrip("0") in numbers for one in pieces) >= 3) or _LINE.search(name):
        return f"comes from {name[:80]}, a name of a customer's line"
    return None
