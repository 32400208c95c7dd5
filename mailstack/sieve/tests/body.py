"""body (RFC 5173)."""

from collections.abc import Callable, Iterator, Sequence

from mailstack.message.charset import decode
from mailstack.message.html import to_text
from mailstack.message.mime import Part
from mailstack.message.transfer import UnknownEncoding, decode_body
from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Extension, Kind, Tag, Test
from mailstack.sieve.matching import checked
from mailstack.sieve.message import Message
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check

LIMIT = 8 << 20  # octets of a message's bodies that are looked at


def text_of(message: Message, part: Part) -> str:
    """A part's body, decoded to text where it is text (RFC 5173 5.2)."""
    octets = message.data[part.body : min(part.end, part.body + LIMIT)]
    try:
        octets = decode_body(octets, part.encoding)
    except (UnknownEncoding, ValueError):
        pass
    return decode(octets, (part.parameter(b"charset") or b"").decode("ascii", "replace"))


def _texts(message: Message) -> Iterator[str]:
    """What a reader sees as text."""
    for part in message.parts:
        if part.type == b"text" and not part.children:
            text = text_of(message, part)
            yield to_text(text) if part.subtype == b"html" else text


def _contents(message: Message, types: Sequence[str]) -> Iterator[str]:
    """The bodies of parts of these types: all types, a type, or a type with its subtype (RFC 5173 5.2)."""
    for part in message.parts:
        if any(_is_type(part, wanted.lower()) for wanted in types):
            if part.type == b"message" and part.children:
                inner = part.children[0]
                yield decode(message.data[inner.start : inner.body], None)
            elif part.type == b"multipart":
                yield from _around(message, part)
            else:
                yield text_of(message, part)


def _spent(run: Run, texts: Iterator[str]) -> list[str]:
    """The texts, whose decoding costs, too."""
    found = []
    run.spend(100 * len(run.message.parts))
    for text in texts:
        run.spend(2 * len(text))
        found.append(text)
    return found


def _is_type(part: Part, wanted: str) -> bool:
    kind, slash, subtype = wanted.partition("/")
    if not wanted:
        return True
    if not kind or (slash and not subtype) or "/" in subtype:
        return False  # RFC 5173 5.2: such a type matches nothing
    return part.type.decode() == kind and (not slash or part.subtype.decode() == subtype)


def _around(message: Message, part: Part) -> Iterator[str]:
    """The text before the first part, and behind the last one."""
    boundary = b"--" + (part.parameter(b"boundary") or b"")
    yield decode(message.data[part.body : part.children[0].start].rpartition(boundary)[0], None)
    _, _, behind = message.data[part.children[-1].end : part.end].partition(boundary)
    yield decode(behind.removeprefix(b"--"), None)


def _body(bound: Bound) -> Check:
    if bound.has("raw"):
        find: Callable[[Run], Sequence[str]] = lambda run: (run.message.raw_body(LIMIT),)  # noqa: E731
    elif bound.has("content"):
        types = bound.texts("content")
        find = lambda run: _spent(run, _contents(run.message, types(run)))  # noqa: E731
    else:
        find = lambda run: run.message.kept("texts", _texts)  # noqa: E731
    return checked(find, bound.match())


EXTENSION = Extension(
    "body",
    tests={
        "body": Test(
            _body,
            (Kind.STRINGS,),
            (Tag("raw", None, "transform"), Tag("text", None, "transform"), Tag("content", Kind.STRINGS, "transform")),
            matches=True,
            remembers=False,
        )
    },
)
