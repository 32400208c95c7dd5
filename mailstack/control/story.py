"""A message's events (docs/trace.md) as one paragraph of plain language. Pure: what is not known is told as it stands."""

import datetime
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]
NAMED = 10  # receivers that are named one by one
FINDINGS = 8  # spam findings that are told, the heaviest
_SHOWN = frozenset({"time", "id", "event"})
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\U0010ffff]|[\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Summary:
    """A message in one line."""

    id: str
    time: float
    sender: str | None
    to: tuple[str, ...]
    subject: str | None
    state: str  # what came of it last: "delivered", "refused" ...


def summary(events: list[Event]) -> Summary | None:
    """What a list shows; None where nothing is known."""
    if not events:
        return None
    start = _start(events)
    to = start.get("to") or ()
    subject = next((event["subject"] for event in events if event.get("subject")), None)
    states = ("failed", "refused", "deferred", "queued", "delivered", "accepted")
    last = {
        event.get("to") if isinstance(event.get("to"), str) else "": event["event"]
        for event in events
        if event["event"] in states
    }
    state = next((name for name in states if name in last.values()), events[-1]["event"])
    receivers = (to,) if isinstance(to, str) else tuple(to)
    return Summary(start["id"], start["time"], start.get("sender"), receivers, subject, state)


def concerns(events: list[Event], address: str) -> list[Event]:
    """The events that tell of one of several receivers; all where it is the sender, or none tells of it alone."""
    address = address.lower()
    start = _start(events)
    if address in (str(start.get("sender")).lower(), str(start.get("account")).lower()):
        return events
    own = [event for event in events if _whose(event) == address]
    if not any(event["event"] not in ("refused", "judged", "milter") for event in own):
        return events
    return [event for event in events if _whose(event) in (None, address)]


def tell(events: list[Event], waiting: dict[str, str] | None = None) -> str:
    """The paragraph. `waiting`: what is to happen next, by the ids of messages that are still in the queue."""
    if not events:
        return ""
    sentences = [_beginning(events)]
    for event in _without_repeats(events):
        sentence = SENTENCES.get(event["event"], _plain)(event)
        if sentence:
            sentences.append(sentence)
    ids = dict.fromkeys(event["id"] for event in events)
    sentences += [(waiting or {})[id] for id in ids if id in (waiting or {})]
    return " ".join(sentences)


def clean(text: object) -> str:
    """Words of strangers, safe to be shown on a terminal."""
    return _UNPRINTABLE.sub("?", str(text))


def moment(time: float) -> str:
    return datetime.datetime.fromtimestamp(time).strftime("%Y-%m-%d %H:%M:%S")


# The parts ----------------------------------------------------------------------------------------------------------


def _start(events: list[Event]) -> Event:
    for name in ("arrived", "accepted", "refused"):
        for event in events:
            if event["event"] == name:
                return event
    return events[0]


def _whose(event: Event) -> str | None:
    """The receiver here that an event is about; None: all, or others."""
    account = event.get("account")
    if event["event"] in ("judged", "kept", "rule", "redirected", "replied", "fetched") and account:
        return str(account).lower()
    to = event.get("to")
    if event["event"] in ("delivered", "deferred", "failed", "refused", "discarded") and isinstance(to, str):
        return to.lower()
    return None


def _without_repeats(events: list[Event]) -> list[Event]:
    """Of attempts that failed for one receiver, the last alone, with how many there were."""
    attempts: dict[str, int] = {}
    last: dict[str, int] = {}
    for place, event in enumerate(events):
        if event["event"] == "deferred":
            attempts[event["to"]] = attempts.get(event["to"], 0) + 1
            last[event["to"]] = place
    told = []
    for place, event in enumerate(events):
        if event["event"] == "deferred":
            if last[event["to"]] == place:
                told.append({**event, "attempts": attempts[event["to"]]})
        else:
            told.append(event)
    return told


def _beginning(events: list[Event]) -> str:
    start = _start(events)
    arrived = start["event"] == "arrived"
    subject = next((event["subject"] for event in events if event.get("subject")), None)
    what = f"“{clean(subject)}”" if subject else "A message"
    text = f"{what} from {clean(start.get('sender') or 'the null sender (a notice)')}"
    if start.get("to"):
        text += f" to {_list(start['to'])}"
    if start.get("account"):
        text += f" was sent in by {clean(start['account'])} on {moment(start['time'])}"
    elif start["event"] == "accepted":
        text += f" was taken over on {moment(start['time'])}"
    else:
        text += f" came on {moment(start['time'])}"
    if start.get("peer") and (arrived or start["event"] == "refused"):
        helo = f"{clean(start['helo'])} [{start['peer']}]" if start.get("helo") else f"[{start['peer']}]"
        text += f" from {helo}"
    if arrived:
        text += f" over {_tls(start['tls'])}" if start.get("tls") else " without TLS"
    return f"{text} (id {start['id']})."


def _tls(text: str) -> str:
    return clean(text).replace("TLSv", "TLS ")


def _list(values: str | list[str]) -> str:
    names = [values] if isinstance(values, str) else values
    shown = ", ".join(clean(name) for name in names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"


def _refused(event: Event) -> str:
    later = str(event.get("reply", "")).startswith("4")
    who = f" for {clean(event['to'])}" if event.get("to") else ""
    words = "was put off" if later else "was refused"
    return f"It {words}{who} with the reply “{clean(event.get('reply'))}” ({clean(event.get('reason'))})."


def _authenticated(event: Event) -> str:
    parts = [f"{name} {clean(value)}" for name, value in _results(event)]
    note = f" {clean(event['note']).rstrip('.')}." if event.get("note") else ""
    return (f"Who sent it: {'; '.join(parts)}." if parts else "") + note


def _results(event: Event) -> Iterable[tuple[str, str]]:
    names = {"iprev": "the address's name", "helo": "SPF of HELO", "spf": "SPF", "dkim": "DKIM", "dmarc": "DMARC", "arc": "ARC"}
    for key, value in event.items():
        if key in _SHOWN or key == "note" or value in (None, "", []):
            continue
        for one in value if isinstance(value, list) else [value]:
            yield names.get(key, key), str(one)


def _judged(event: Event) -> str:
    findings = sorted(event.get("findings") or (), key=lambda one: -abs(one[1]))
    parts = [f"{clean(rule)} {weight:+g}" + (f" ({clean(text)})" if text else "") for rule, weight, text in findings[:FINDINGS]]
    if len(findings) > FINDINGS:
        parts.append(f"{len(findings) - FINDINGS} more")
    junk = "taken for junk" if event.get("junk") else "not taken for junk"
    found = ", ".join(parts) or "nothing was found for it or against it"
    return f"For {clean(event.get('account'))} it was {junk}, score {event.get('score')} of {event.get('required')}: {found}."


def _milter(event: Event) -> str:
    whose = f"The mail filter {clean(event.get('milter'))}"
    if event.get("problem"):
        return f"{whose} gave no answer: {clean(event['problem'])}."
    if event.get("reply"):
        return f"{whose} stopped it: {clean(event['reply'])}."
    changes = ", ".join(clean(one) for one in event.get("changes") or ())
    return f"{whose} let it go on{f' ({changes})' if changes else ''}."


def _rule(event: Event) -> str:
    line = f", line {event['line']}" if event.get("line") else ""
    script = f"“{clean(event['script'])}”{line}" if event.get("script") else f"of the account{line}"
    return f"The rule {script}, said: {clean(event.get('action') or 'keep')}."


def _delivered(event: Event) -> str:
    if event.get("mailbox"):
        return f"It was put into {clean(event['mailbox'])} of {clean(event['to'])} at {moment(event['time'])}."
    if not event.get("host"):
        return f"It was delivered to {clean(event['to'])} at {moment(event['time'])}."
    tls = f" over {_tls(event['tls'])}" if event.get("tls") else ""
    words = f" with the words “{clean(event['reply'])}”" if event.get("reply") else ""
    return f"{clean(event['host'])} took it over{tls} for {clean(event['to'])} at {moment(event['time'])}{words}."


def _queued(event: Event) -> str:
    return f"It was queued for {_list(event.get('to') or '')}."


def _deferred(event: Event) -> str:
    count = event.get("attempts", 1)
    times = "" if count == 1 else f" for the {_ordinal(count)} time"
    return f"For {clean(event['to'])} it was put off{times} at {moment(event['time'])}: {_words(event)}."


def _failed(event: Event) -> str:
    return f"For {clean(event['to'])} it was given up at {moment(event['time'])}: {_words(event)}."


def _words(event: Event) -> str:
    reply = clean(event.get("reply") or "nothing was said")
    return f"{clean(event['host'])} said “{reply}”" if event.get("host") else f"“{reply}”"


def _ordinal(number: int) -> str:
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _bounced(event: Event) -> str:
    what = {
        "failed": "that it failed",
        "delayed": "that it is late",
        "delivered": "that it arrived",
        "relayed": "that it went on",
    }
    told = what.get(str(event.get("action")), "of it")
    return f"{clean(event.get('to'))} was told {told}, by the notice {event.get('notice')}."


def _fetched(event: Event) -> str:
    client = clean(event["client"]) if event.get("client") else "a program that does not say its name"
    protocol = f" ({event['protocol'].upper()})" if event.get("protocol") else ""
    return f"{clean(event.get('account'))} fetched it first at {moment(event['time'])}, with {client}{protocol}."


def _redirected(event: Event) -> str:
    return f"A rule of {clean(event.get('account'))} sent a copy on to {_list(event.get('to') or '')}."


def _replied(event: Event) -> str:
    kind = clean(event.get("kind") or "automatic")
    return f"{clean(event.get('account'))}'s {kind} answer went to {_list(event.get('to') or '')}."


def _discarded(event: Event) -> str:
    return f"A rule of {clean(event.get('to'))} dropped it at {moment(event['time'])}."


def _unaligned(event: Event) -> str:
    waits = ", and it waits" if event.get("waits") else ""
    return f"Before it left, a warning: {clean(event.get('reason'))}{waits}."


def _kept(event: Event) -> str:
    mailbox = clean(event.get("mailbox") or "Rejects")
    return f"A copy can be seen for some days in {mailbox} of {clean(event.get('account'))}."


def _downgrade(event: Event) -> str:
    return f"The connection to {clean(event.get('host'))} was not as safe as before: {clean(event.get('reason'))}."


def _report(event: Event) -> str:
    known = "" if event.get("new", True) else ", which was known already"
    whose = f"{clean(event.get('kind'))} report of {clean(event.get('organisation'))}"
    return f"It held a {whose}{known}; see: mailstack reports list."


def _held(event: Event) -> str:
    words = {"held": "held back", "released": "let go", "dropped": "thrown away, and nobody was told"}[event["event"]]
    because = f" because {clean(event.get('account'))} may not send: {clean(event['reason'])}" if event.get("reason") else ""
    return f"At {moment(event['time'])} it was {words}{because}."


def _plain(event: Event) -> str:
    words = ", ".join(f"{key} {clean(value)}" for key, value in event.items() if key not in _SHOWN and value)
    return f"{event['event'].capitalize()} at {moment(event['time'])}{': ' + words if words else ''}."


def _silent(_: Event) -> str:
    return ""


SENTENCES: dict[str, Callable[[Event], str]] = {
    "arrived": _silent,  # the beginning
    "accepted": _silent,
    "refused": _refused,
    "authenticated": _authenticated,
    "judged": _judged,
    "milter": _milter,
    "rule": _rule,
    "delivered": _delivered,
    "queued": _queued,
    "discarded": _discarded,
    "redirected": _redirected,
    "replied": _replied,
    "fetched": _fetched,
    "deferred": _deferred,
    "failed": _failed,
    "unaligned": _unaligned,
    "bounced": _bounced,
    "kept": _kept,
    "downgrade": _downgrade,
    "report": _report,
    "held": _held,
    "released": _held,
    "dropped": _held,
}
