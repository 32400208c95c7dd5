"""Rows of the common kind, and words that rows share."""

from mailstack.net.dns import Found
from mailstack.records.record import Record, Row, State

SHOWN = 100  # characters of a value in a line for people


def compared(
    what: str, record: Record, found: Found, *, missing: State | None, effect: str, fix: str = "", takes_over: bool = False
) -> Row:
    """One record that is wanted. `missing`: how bad it is that it is not there, None where it is, or something as good."""
    if missing is None:
        text = f"is {listed(found.values)}" if found.values else "leads to this server"
        wanted = found.values or (record.value,)
        return Row(what, State.OK, record.name, record.kind, wanted, found.values, found.ttl, text)
    wanted = (record.value,)
    return Row(
        what,
        missing,
        record.name,
        record.kind,
        wanted,
        found.values,
        found.ttl,
        want_have(wanted, found),
        effect,
        fix or publish(record),
        add=wanted,
        remove=found.values,
        takes_over=takes_over,
    )


def want_have(wanted: tuple[str, ...], found: Found) -> str:
    return f"want {listed(wanted)}; have {listed(found.values) or 'none'}"


def listed(values: tuple[str, ...]) -> str:
    """For a line: keys are cut off."""
    return ", ".join(value if len(value) <= SHOWN else f"{value[:SHOWN]}…" for value in values)


def publish(record: Record) -> str:
    line = str(record)
    return f"publish {line}" if len(record.value) <= SHOWN else f"publish {line[: SHOWN + 40]}… (whole: mailstack dns --zone)"


def plain(text: str) -> str:
    """What counts of a record: spaces and case of host names don't, that of keys does."""
    return text.replace(" ", "") if text.startswith("v=") else text.lower()


def shown(seconds: int) -> str:
    """A time for people."""
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            number = round(seconds / unit)
            return f"{number} {name}" if number == 1 else f"{number} {name}s"
    return f"{seconds} seconds"
