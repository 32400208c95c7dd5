"""date, currentdate (RFC 5260 4, 5)."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import format_datetime, parsedate_tz
from types import MappingProxyType

from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Extension, Kind, Tag, Test
from mailstack.sieve.matching import checked
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check
from mailstack.sieve.tests.header import FIELD_NAME, chosen

_ZONE = re.compile(r"([+-])([0-9]{2})([0-5][0-9])")
_JULIAN = 678576  # date.toordinal() of day 0 of the modified Julian calendar
READING = 500  # what reading a date costs (Limits.work)
DATE_LENGTH = 200  # characters of a field that are looked at


def _zone_of(moment: datetime) -> str:
    return moment.strftime("%z")[:5]


def _iso(moment: datetime) -> str:
    zone = _zone_of(moment)
    shown = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}".zfill(19) + shown


PARTS: MappingProxyType[str, Callable[[datetime], str]] = MappingProxyType(
    {
        "year": lambda moment: f"{moment.year:04}",
        "month": lambda moment: f"{moment.month:02}",
        "day": lambda moment: f"{moment.day:02}",
        "date": lambda moment: moment.date().isoformat(),
        "julian": lambda moment: str(moment.toordinal() - _JULIAN),
        "hour": lambda moment: f"{moment.hour:02}",
        "minute": lambda moment: f"{moment.minute:02}",
        "second": lambda moment: f"{moment.second:02}",
        "time": lambda moment: f"{moment:%H:%M:%S}",
        "iso8601": _iso,
        "std11": lambda moment: format_datetime(moment),
        "zone": _zone_of,
        "weekday": lambda moment: str(moment.isoweekday() % 7),
    }
)


def read_date(text: str) -> datetime | None:
    """The date of a field, with its own zone; of fields like Received, the one behind the last semicolon."""
    found = parsedate_tz(text.rpartition(";")[2][:DATE_LENGTH])
    if found is None:
        return None
    try:
        zone = timezone(timedelta(seconds=found[9] or 0))
        return datetime(*found[:5], min(found[5], 59), tzinfo=zone)
    except (ValueError, OverflowError):
        return None


def _offset(text: str) -> tzinfo | None:
    found = _ZONE.fullmatch(text)
    if found is None:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return timezone(-offset if found[1] == "-" else offset) if offset < timedelta(days=1) else None


def _placed(bound: Bound) -> Callable[[Run, datetime], datetime | None]:
    """A moment in the zone that the test asks for, None where that is none or the calendar ends."""
    if bound.has("originalzone"):
        return lambda run, moment: moment
    zone = bound.text("zone") if bound.has("zone") else None
    if zone is not None and zone.constant is not None and _offset(zone.constant) is None:
        raise bound.problem(f'{zone.constant[:20]!r} is no time zone like "+0100"')

    def placed(run: Run, moment: datetime) -> datetime | None:
        wanted = _offset(zone(run)) if zone is not None else run.environment.now.tzinfo or UTC
        try:
            return moment.astimezone(wanted) if wanted is not None else None
        except (ValueError, OverflowError):
            return None

    return placed


def _part(bound: Bound, place: int) -> Callable[[Run], Callable[[datetime], str] | None]:
    name = bound.text(place)
    if name.constant is not None and name.constant.lower() not in PARTS:
        raise bound.problem(f"{name.constant[:20]!r} is no part of a date")
    return lambda run: PARTS.get(name(run).lower())


def _date(bound: Bound) -> Check:
    name, placed, part, choose = bound.text(0), _placed(bound), _part(bound, 1), chosen(bound)
    if name.constant is not None and FIELD_NAME.fullmatch(name.constant) is None:
        raise bound.problem(f"{name.constant[:100]!r} is no name of a header field")

    def values(run: Run) -> Sequence[str]:
        found = []
        show = part(run)
        for text in choose(run.header.texts(name(run).lower())):
            run.spend(READING + len(text))
            moment = read_date(text)
            moment = placed(run, moment) if moment is not None else None
            if moment is not None and show is not None:
                found.append(show(moment))
        return found

    return checked(values, bound.match())


def _currentdate(bound: Bound) -> Check:
    placed, part = _placed(bound), _part(bound, 0)

    def values(run: Run) -> Sequence[str]:
        moment, show = placed(run, run.environment.now), part(run)
        return [show(moment)] if moment is not None and show is not None else []

    return checked(values, bound.match())


_ZONE_TAG = Tag("zone", Kind.STRING, "zone")
EXTENSION = Extension(
    "date",
    tests={
        "date": Test(
            _date, (Kind.STRING, Kind.STRING, Kind.STRINGS), (_ZONE_TAG, Tag("originalzone", None, "zone")), matches=True
        ),
        "currentdate": Test(_currentdate, (Kind.STRING, Kind.STRINGS), (_ZONE_TAG,), matches=True),
    },
)
_INDEX = (Tag("index", Kind.NUMBER), Tag("last"))
INDEX = Extension("index", tags={"header": _INDEX, "address": _INDEX, "date": _INDEX})
