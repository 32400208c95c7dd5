"""Signs that somebody else sends with an account: what is counted for them, and when it is enough. In memory, for an hour."""

import enum
from collections import OrderedDict
from dataclasses import dataclass, field

from mailstack.policy.tally import HOUR, add, slot_of, total

REMEMBERED = 10_000  # accounts
MESSAGES_WANTED = 5  # a newsletter is one message, or two
REFUSED_SHARE = 1 / 3  # of what other hosts were sent
NETWORKS_KEPT = 100


class Sign(enum.StrEnum):
    BURST = "burst"
    REFUSALS = "refusals"
    NETWORKS = "networks"
    OVERRUNS = "overruns"
    ADMIN = "admin"  # no sign: somebody said so


@dataclass(frozen=True, slots=True)
class SignSettings:
    """Within an hour; 0: not looked at."""

    burst: int = 150  # new recipients, in several messages
    refusals: int = 25  # by other hosts, for good, and a third of all
    networks: int = 8  # from which it was sent
    overruns: int = 20  # messages that a limit stopped


@dataclass(slots=True)
class _Account:
    messages: dict[int, int] = field(default_factory=dict)
    fresh: dict[int, int] = field(default_factory=dict)
    delivered: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    overruns: dict[int, int] = field(default_factory=dict)
    networks: dict[str, int] = field(default_factory=dict)  # with the slot in which it was seen last


class Signs:
    """Each method counts something, and gives the sign that it makes up with what was counted before, with words for people."""

    def __init__(self) -> None:
        self.settings = SignSettings()
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    def _of(self, account: str) -> _Account:
        found = self._accounts.pop(account, None) or _Account()
        self._accounts[account] = found
        while len(self._accounts) > REMEMBERED:
            self._accounts.popitem(last=False)
        return found

    def forget(self, account: str) -> None:
        """What was counted is dealt with."""
        self._accounts.pop(account, None)

    def sending(self, account: str, moment: float, fresh: int, network: str | None) -> tuple[Sign, str] | None:
        """A message is to be sent, to so many new recipients, from a network (None: one that says nothing)."""
        one, slot = self._of(account), slot_of(moment)
        add(one.messages, slot)
        add(one.fresh, slot, fresh)
        if network is not None and (network in one.networks or len(one.networks) < NETWORKS_KEPT):
            one.networks[network] = slot
        many = total(one.fresh, slot, HOUR)
        if self.settings.burst and many > self.settings.burst and total(one.messages, slot, HOUR) >= MESSAGES_WANTED:
            return Sign.BURST, f"it wrote to {many} addresses within an hour to which it never wrote before"
        one.networks = {name: seen for name, seen in one.networks.items() if seen > slot - HOUR}
        if self.settings.networks and len(one.networks) > self.settings.networks:
            return Sign.NETWORKS, f"it was used to send from {len(one.networks)} networks within an hour"
        return None

    def overran(self, account: str, moment: float) -> tuple[Sign, str] | None:
        """A limit stopped a message."""
        one, slot = self._of(account), slot_of(moment)
        add(one.overruns, slot)
        many = total(one.overruns, slot, HOUR)
        if self.settings.overruns and many >= self.settings.overruns:
            return Sign.OVERRUNS, f"its limits stopped {many} messages within an hour, and it goes on"
        return None

    def outcome(self, account: str, moment: float, *, refused: bool) -> tuple[Sign, str] | None:
        """Another host took a message over, or refused it for good."""
        one, slot = self._of(account), slot_of(moment)
        add(one.refused if refused else one.delivered, slot)
        bad, good = total(one.refused, slot, HOUR), total(one.delivered, slot, HOUR)
        if refused and self.settings.refusals and bad >= self.settings.refusals and bad >= (bad + good) * REFUSED_SHARE:
            return Sign.REFUSALS, f"other servers refused {bad} of the {bad + good} messages that it sent within an hour"
        return None
