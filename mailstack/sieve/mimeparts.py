"""The parts of a message that a test looks at, and what their headers say (RFC 5703 4)."""

import re
from collections.abc import Callable, Sequence

from mailstack.message.charset import decode
from mailstack.message.header import unfold
from mailstack.message.mime import Part
from mailstack.message.parameters import parse_parameters
from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Kind, Tag
from mailstack.sieve.message import Header, field_text
from mailstack.sieve.state import Run

_VALUE = re.compile(rb"\s*([^\s/;()<>@,:\\\"\[\]?=]+)\s*(?:/\s*([^\s/;()<>@,:\\\"\[\]?=]+))?\s*(?=;|\Z)")
LOOKING = 100  # what a part costs (Limits.work)

MIME_TAGS = (Tag("mime"), Tag("anychild"))
OPTION_TAGS = (
    Tag("type", None, "option"),
    Tag("subtype", None, "option"),
    Tag("contenttype", None, "option"),
    Tag("param", Kind.STRINGS, "option"),
)
Reader = Callable[[Run, bytes], Sequence[str]]


def below(part: Part) -> list[Part]:
    """A part and all parts inside it, in their order."""
    found: list[Part] = []
    stack = [part]
    while stack:
        one = stack.pop()
        found.append(one)
        stack += reversed(one.children)
    return found


def _own(run: Run) -> Sequence[Header]:
    return (run.header,)


def headers_of(bound: Bound) -> Callable[[Run], Sequence[Header]]:
    """The headers that a test looks at: the message's, or with :mime that of the part at hand, or all below it."""
    if not bound.has("mime"):
        if any(bound.has(tag.name) for tag in (*MIME_TAGS, *OPTION_TAGS)):
            raise bound.problem("':mime' is missing")
        return _own
    every = bound.has("anychild")

    def headers(run: Run) -> Sequence[Header]:
        part = run.part or run.message.root
        parts = below(part) if every else [part]
        run.spend(LOOKING * len(parts))
        return [run.header_of(one) for one in parts]

    return headers


def reader(bound: Bound) -> Reader | None:
    """What a test reads in a field's value; None: all of it."""
    if bound.has("param"):
        names = bound.texts("param")
        return lambda run, value: _parameters(value, [name.lower() for name in names(run)])
    for option in ("type", "subtype", "contenttype"):
        if bound.has(option):
            return lambda run, value: _typed(value, option)
    return None


def _typed(value: bytes, option: str) -> Sequence[str]:
    found = _VALUE.match(unfold(value))
    if found is None:
        return ()
    kind, subtype = decode(found[1], None), decode(found[2] or b"", None)
    if option == "contenttype":
        return (f"{kind}/{subtype}" if subtype else kind,)
    return (kind if option == "type" else subtype,)


def _parameters(value: bytes, names: Sequence[str]) -> Sequence[str]:
    _, sign, rest = unfold(value).partition(b";")
    known = {decode(name, None): text for name, text in parse_parameters(sign + rest)}
    return [field_text(known[name]) for name in names if name in known]
