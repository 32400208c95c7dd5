"""foreverypart, break, extracttext (RFC 5703 3, 7)."""

from collections.abc import Iterator

from mailstack.message.html import to_text
from mailstack.message.mime import Part
from mailstack.sieve.bound import Bound
from mailstack.sieve.commands.variables import modified, store_into
from mailstack.sieve.extension import Command, Extension, Kind, Tag
from mailstack.sieve.mimeparts import LOOKING, MIME_TAGS, OPTION_TAGS, below
from mailstack.sieve.questions import Asks
from mailstack.sieve.state import Break, Cursor, Run
from mailstack.sieve.step import Asking, Step
from mailstack.sieve.tests.body import text_of


def _parts(run: Run, weight: int) -> Iterator[Part]:
    """All parts of the message, or in a loop those inside the part at hand. `weight`: the steps that each part is worth."""
    outer = run.cursors[-1] if run.cursors else None
    if outer is None:
        cursor = Cursor(0, len(run.message.parts))
    else:
        assert run.part is not None
        cursor = Cursor(outer.place + 1, outer.place + len(below(run.part)))
    run.cursors.append(cursor)
    try:
        while cursor.next < cursor.end:
            cursor.place, cursor.next = cursor.next, cursor.next + 1
            run.spend(LOOKING * weight)
            run.part = run.message.parts[cursor.place]
            yield run.part
    finally:
        run.cursors.pop()
        run.part = run.message.parts[outer.place] if outer is not None else None


def _foreverypart(bound: Bound) -> Step:
    name, inner = bound.loops[-1], bound.block
    assert inner is not None
    if isinstance(inner, Asking):
        go = inner.go

        def asking(run: Run) -> Asks[None]:
            parts = _parts(run, bound.weight)
            try:
                for _ in parts:
                    yield from go(run)
            except Break as stopped:
                if stopped.name not in ("", name):
                    raise
            finally:
                parts.close()  # type: ignore[attr-defined]

        return Asking(asking)

    def each(run: Run) -> None:
        parts = _parts(run, bound.weight)
        try:
            for _ in parts:
                inner(run)
        except Break as stopped:
            if stopped.name not in ("", name):
                raise
        finally:
            parts.close()  # type: ignore[attr-defined]

    return each


def _break(bound: Bound) -> Step:
    name = bound.constant("name") if bound.has("name") else ""
    if not bound.loops:
        raise bound.problem("it stands in no foreverypart")
    if name and name not in bound.loops:
        raise bound.problem(f"no foreverypart around it is named {name[:100]!r}")

    def leave(run: Run) -> None:
        raise Break(name)

    return leave


def _extracttext(bound: Bound) -> Step:
    if not bound.loops:
        raise bound.problem("it stands in no foreverypart")
    if "variables" not in bound.required:
        raise bound.problem('it needs require "variables"')
    store, change = store_into(bound, bound.constant(0)), modified(bound)
    first = bound.number("first") if bound.has("first") else None

    def extract(run: Run) -> None:
        part = run.part
        text = ""
        if part is not None and part.type == b"text":  # RFC 5703 7: of all others, nothing
            text = text_of(run.message, part)
            run.spend(2 * len(text))
            text = to_text(text) if part.subtype == b"html" else text
        store(run, change(text[: run.limits.variable][:first]))

    return extract


_HEADER = (*MIME_TAGS, *OPTION_TAGS)
EXTENSION = Extension(
    "foreverypart",
    commands={
        "foreverypart": Command(_foreverypart, tags=(Tag("name", Kind.STRING),), block=True),
        "break": Command(_break, tags=(Tag("name", Kind.STRING),)),
    },
)
MIME = Extension("mime", tags={"header": _HEADER, "address": MIME_TAGS, "exists": MIME_TAGS})
TEXT = Extension(
    "extracttext",
    commands={"extracttext": Command(_extracttext, (Kind.STRING,), (Tag("first", Kind.NUMBER),), modifiers=True)},
)
