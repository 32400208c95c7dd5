"""What is wrong with forms, at which place, in words for the person who filled them in."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mailstack.message.address import parse_address
from mailstack.message.errors import SyntaxProblem
from mailstack.sieve.forms.model import (
    PLACES,
    SIZES,
    STATES,
    TARGETED,
    Action,
    Condition,
    Does,
    Forms,
    Forwarding,
    How,
    Rule,
    Vacation,
    What,
)

LINE = 500  # characters of what stands on one line
TEXT = 10_000  # characters of an answer
RULES = 200
PARTS = 30  # conditions of a rule, and actions
DAYS = 365
_SIZE = re.compile(r"[1-9][0-9]{0,9}[KMG]?", re.ASCII | re.IGNORECASE)
_FIELD = re.compile(r"[!-9;-~]{1,100}")  # RFC 5322 2.2


@dataclass(frozen=True, slots=True)
class Fault:
    """`where` is like vacation.text or rules.2.conditions.0, counted from 0."""

    where: str
    text: str


def problems(forms: Forms, redirects: int = 4) -> list[Fault]:
    """None at all for forms of which a script can be made. `redirects`: to how many addresses one message may be sent on."""
    found = [*_vacation(forms.vacation), *_forwarding(forms.forwarding, redirects)]
    if len(forms.rules) > RULES:
        found.append(Fault("rules", f"there are more than {RULES} rules"))
    for place, rule in enumerate(forms.rules):
        found += _rule(rule, f"rules.{place}")
        if len({*forms.forwarding.addresses, *_forwards(rule)}) > redirects:
            found.append(Fault(f"rules.{place}.actions", f"with the forwarding, that is more than {redirects} addresses"))
    if forms.then and (not _plain(forms.then, 128) or "/" in forms.then):
        found.append(Fault("then", "a script of this name can't go on after the rules"))
    return found


def _forwards(rule: Rule) -> list[str]:
    return [one.target for one in rule.actions if one.does is Does.FORWARD]


def _plain(text: str, most: int = LINE) -> bool:
    """Whether it can stand on one line of a script."""
    return 0 < len(text) <= most and _sayable(text) and not re.search(r"[\x00-\x1f\x7f\u2028\u2029]", text)


def _sayable(text: str) -> bool:
    return "\0" not in text and not re.search(r"[\ud800-\udfff]", text)


def _address(text: str) -> bool:
    try:
        parse_address(text)
    except SyntaxProblem:
        return False
    return _plain(text)


def _vacation(form: Vacation) -> Iterator[Fault]:
    if form.on and not form.text.strip():
        yield Fault("vacation.text", "an answer needs a text")
    if len(form.text) > TEXT or not _sayable(form.text):
        yield Fault("vacation.text", f"the text has more than {TEXT} characters, or some that can't be sent")
    if form.subject and not _plain(form.subject):
        yield Fault("vacation.subject", "the subject has more than one line, or is too long")
    if form.first and form.last and form.last < form.first:
        yield Fault("vacation.last", "the last day is before the first")
    if not 1 <= form.days <= DAYS:
        yield Fault("vacation.days", f"a number from 1 to {DAYS}")
    yield from _addresses(form.addresses, "vacation.addresses")


def _forwarding(form: Forwarding, redirects: int) -> Iterator[Fault]:
    yield from _addresses(form.addresses, "forwarding.addresses")
    if len(set(form.addresses)) > redirects:
        yield Fault("forwarding.addresses", f"mail can be sent on to {redirects} addresses at most")


def _addresses(texts: Iterable[str], where: str) -> Iterator[Fault]:
    for text in texts:
        if not _address(text):
            yield Fault(where, f"{text[:100]!r} is no mail address")


def _rule(rule: Rule, where: str) -> Iterator[Fault]:
    if not _plain(rule.name, 100):
        yield Fault(f"{where}.name", "a rule needs a name of one line, at most 100 characters")
    if not rule.actions:
        yield Fault(f"{where}.actions", "a rule needs something to do")
    if len(rule.conditions) > PARTS or len(rule.actions) > PARTS:
        yield Fault(where, f"a rule has at most {PARTS} conditions and {PARTS} actions")
    for place, one in enumerate(rule.conditions):
        if text := _condition(one):
            yield Fault(f"{where}.conditions.{place}", text)
    for place, action in enumerate(rule.actions):
        if text := _action(action):
            yield Fault(f"{where}.actions.{place}", text)


def _condition(one: Condition) -> str:
    """What is wrong with it, or nothing."""
    if one.what in STATES:
        return "" if one.how is How.IS else "this is true or not; nothing is compared"
    if (one.what is What.SIZE) != (one.how in SIZES):
        return "sizes are over or under something, and nothing else is"
    if one.what is What.SIZE:
        return "" if _SIZE.fullmatch(one.value) else "a size is a number, with K, M or G behind it, like 5M"
    if one.what is What.HEADER and not _FIELD.fullmatch(one.header):
        return "this is no name of a header field"
    return "" if _plain(one.value) else "a text of one line is needed"


def _action(one: Action) -> str:
    if one.does not in TARGETED:
        return "" if not one.target else "this needs no target"
    if one.does in PLACES:
        return "" if _plain(one.target, 200) and _mailbox(one.target) else "a mailbox is needed"
    return "" if one.does is Does.FORWARD and _address(one.target) else "a mail address is needed"


def _mailbox(name: str) -> bool:
    return all(part.strip() for part in name.split("/"))
