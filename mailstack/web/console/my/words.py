"""Rules in words, for the pages."""

from collections.abc import Mapping
from typing import Final

from mailstack.sieve.forms.checking import Fault
from mailstack.sieve.forms.model import Action, Condition, Does, How, Rule, What

# What the select of a condition offers: some say all that there is to say.
KINDS: Final[Mapping[str, tuple[str, What, How | None, bool]]] = {
    "from": ("From", What.FROM, None, False),
    "to": ("To or Cc", What.TO, None, False),
    "subject": ("Subject", What.SUBJECT, None, False),
    "list-id": ("Mailing list", What.LIST_ID, None, False),
    "header": ("Other header field", What.HEADER, None, False),
    "over": ("Is larger than", What.SIZE, How.OVER, False),
    "under": ("Is smaller than", What.SIZE, How.UNDER, False),
    "attachment": ("Has an attachment", What.ATTACHMENT, How.IS, False),
    "no-attachment": ("Has no attachment", What.ATTACHMENT, How.IS, True),
    "spam": ("Was judged junk", What.SPAM, How.IS, False),
    "no-spam": ("Was not judged junk", What.SPAM, How.IS, True),
}
HOWS: Final[Mapping[str, tuple[str, How, bool]]] = {
    "contains": ("contains", How.CONTAINS, False),
    "not-contains": ("does not contain", How.CONTAINS, True),
    "is": ("is", How.IS, False),
    "not-is": ("is not", How.IS, True),
    "starts": ("begins with", How.STARTS, False),
    "ends": ("ends with", How.ENDS, False),
    "not-starts": ("does not begin with", How.STARTS, True),
    "not-ends": ("does not end with", How.ENDS, True),
}
DOES: Final[Mapping[str, str]] = {
    Does.MOVE.value: "Move to the mailbox",
    Does.COPY.value: "Put a copy into the mailbox",
    Does.FLAG.value: "Flag it",
    Does.READ.value: "Mark it as read",
    Does.FORWARD.value: "Send a copy on to",
    Does.KEEP.value: "Keep it in the inbox",
    Does.DISCARD.value: "Throw it away",
    Does.STOP.value: "Ask no further rule",
}


def kind_of(one: Condition) -> str:
    """The select's value."""
    for name, (_, what, how, negated) in KINDS.items():
        if what is one.what and (how is None or (how is one.how and negated == one.negated)):
            return name
    return next(name for name, (_, what, how, _n) in KINDS.items() if what is one.what and how in (None, one.how))


def how_of(one: Condition) -> str:
    return next((name for name, (_, how, negated) in HOWS.items() if how is one.how and negated == one.negated), "contains")


def condition(one: Condition) -> str:
    """In a sentence."""
    name, _, how, _n = KINDS[kind_of(one)]
    if one.what is What.SIZE:
        return f"{'not: ' if one.negated else ''}{name.lower()} {one.value}"
    if how is not None:
        return name.lower()
    return f"{one.header or name} {HOWS[how_of(one)][0]} “{one.value}”"


def action(one: Action) -> str:
    return f"{DOES[one.does.value].lower()} {one.target}".strip()


def rule(one: Rule) -> tuple[str, str]:
    """When, and what then."""
    joint = " and " if one.every else " or "
    tests = joint.join(condition(each) for each in one.conditions)
    return (f"If {tests}" if tests else "Always"), ", then ".join(action(each) for each in one.actions)


def fault(one: Fault) -> str:
    """Where, as the page counts its lines."""
    words = [word for word in one.where.split(".") if word not in ("rules", "vacation", "forwarding")]
    words = [str(int(word) + 1) if word.isdigit() else word.removesuffix("s") for word in words]
    if one.where.startswith("rules."):
        words = words[1:]
    place = " ".join(words)
    return f"{place[:1].upper()}{place[1:]}: {one.text}." if place else f"{one.text}."
