"""duplicate (RFC 7352)."""

from collections.abc import Callable

from mailstack.sieve.actions import Remember
from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Extension, Kind, Tag, Test
from mailstack.sieve.questions import Asks, SeenBefore
from mailstack.sieve.state import Run
from mailstack.sieve.step import Asking, Check
from mailstack.sieve.tests.header import FIELD_NAME

DEFAULT = 7 * 86400  # seconds (RFC 7352 3.3)
MOST = 90 * 86400
LENGTH = 1000  # characters of an id that count


def _id(bound: Bound) -> Callable[[Run], str]:
    """What a message is known by: a value of its own, or a field's (RFC 7352 3.1)."""
    if bound.has("uniqueid"):
        return bound.text("uniqueid")
    name = bound.text_or("header", "message-id")
    if name.constant is not None and FIELD_NAME.fullmatch(name.constant) is None:
        raise bound.problem(f"{name.constant[:100]!r} is no name of a header field")

    def field(run: Run) -> str:
        return next(iter(run.header.texts(name(run).lower())), "")

    return field


def _duplicate(bound: Bound) -> Check:
    id_of, handle = _id(bound), bound.text_or("handle", "")
    seconds = min(bound.number("seconds"), MOST) if bound.has("seconds") else DEFAULT
    last = bound.has("last")

    def ask(run: Run) -> Asks[bool]:
        id = id_of(run)[:LENGTH]
        if not id:
            return False
        found = Remember(handle(run)[:LENGTH], id, seconds)
        seen = yield from run.ask(SeenBefore(found.handle, id, seconds))
        if last or not seen:
            run.remember.append(found)
        return bool(seen)

    return Asking(ask)


EXTENSION = Extension(
    "duplicate",
    tests={
        "duplicate": Test(
            _duplicate,
            tags=(
                Tag("handle", Kind.STRING),
                Tag("header", Kind.STRING, "id"),
                Tag("uniqueid", Kind.STRING, "id"),
                Tag("seconds", Kind.NUMBER),
                Tag("last"),
            ),
        )
    },
)
