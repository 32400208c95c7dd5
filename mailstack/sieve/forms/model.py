"""What the forms hold: rules, the answer while away, and where mail is sent on to. Plain values, one script's worth."""

import datetime
import enum
from dataclasses import dataclass


class What(enum.Enum):
    """What of a message is looked at."""

    FROM = "from"
    TO = "to"  # To and Cc
    SUBJECT = "subject"
    LIST_ID = "list-id"
    SIZE = "size"
    HEADER = "header"  # the field that the condition names
    ATTACHMENT = "attachment"  # whether there is one
    SPAM = "spam"  # whether it was judged junk


class How(enum.Enum):
    """How it is compared; attachment and spam know IS alone."""

    CONTAINS = "contains"
    IS = "is"
    STARTS = "starts"
    ENDS = "ends"
    OVER = "over"  # sizes
    UNDER = "under"


class Does(enum.Enum):
    """What is done."""

    MOVE = "move"  # to a mailbox
    COPY = "copy"  # to a mailbox; the message goes on
    FLAG = "flag"
    READ = "read"  # marked as seen
    FORWARD = "forward"  # to an address; the message goes on
    KEEP = "keep"  # where it would have gone
    DISCARD = "discard"
    STOP = "stop"  # no further rule


SIZES = frozenset({How.OVER, How.UNDER})
STATES = frozenset({What.ATTACHMENT, What.SPAM})  # true or not: nothing is compared
MARKS = frozenset({Does.FLAG, Does.READ})
PLACES = frozenset({Does.MOVE, Does.COPY})
TARGETED = PLACES | {Does.FORWARD}


@dataclass(frozen=True, slots=True)
class Condition:
    """One question to a message. `value` is a text, or a size like 5M; it is empty for what is true or not."""

    what: What
    how: How = How.CONTAINS
    value: str = ""
    header: str = ""  # of What.HEADER
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """`target` is a mailbox or an address where the action needs one."""

    does: Does
    target: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Without conditions it is for every message."""

    name: str
    conditions: tuple[Condition, ...] = ()
    actions: tuple[Action, ...] = ()
    every: bool = True  # all conditions must hold; False: any of them
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Vacation:
    """The answer while away: from the first day to the last, both included, in the server's time zone; None is open."""

    on: bool = False
    text: str = ""
    subject: str = ""  # empty: what the script language makes of the message's own
    first: datetime.date | None = None
    last: datetime.date | None = None
    days: int = 7  # a sender gets one answer in so many
    addresses: tuple[str, ...] = ()  # the account's own that the server does not know


@dataclass(frozen=True, slots=True)
class Forwarding:
    """To whom everything is sent on."""

    addresses: tuple[str, ...] = ()
    keep: bool = True  # a copy stays here


@dataclass(frozen=True, slots=True)
class Forms:
    """All of one account, in the order in which it is carried out: answer, sending on, rules, then a script by hand."""

    vacation: Vacation = Vacation()
    forwarding: Forwarding = Forwarding()
    rules: tuple[Rule, ...] = ()
    then: str = ""  # the name of a script by hand that goes on after the rules; empty: none

    @property
    def asks_spam(self) -> bool:
        """Whether a rule that is on looks at the judgement: then the script is asked about junk, too."""
        return any(one.what is What.SPAM for rule in self.rules if rule.enabled for one in rule.conditions)
