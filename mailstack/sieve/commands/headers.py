"""addheader, deleteheader (RFC 5293)."""

from collections.abc import Callable

from mailstack.sieve.bound import Bound
from mailstack.sieve.edits import AddField, DeleteField
from mailstack.sieve.extension import Command, Extension, Kind, Tag
from mailstack.sieve.matching import AskingMatch
from mailstack.sieve.message import Header, field_text
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.state import Run
from mailstack.sieve.step import Step
from mailstack.sieve.strings import Text
from mailstack.sieve.tests.header import FIELD_NAME, chosen

# RFC 5293 6: these show a loop, and are no user's to change.
PROTECTED = frozenset({"received", "auto-submitted"})
LOOKING = 10  # what a field costs that is passed (Limits.work)
NAME_LENGTH = 200
VALUE_LENGTH = 8192


def _name(bound: Bound) -> Callable[[Run], str]:
    text: Text = bound.text(0)
    if text.constant is not None:
        _check(text.constant, bound.line)

    def name(run: Run) -> str:
        return _check(text(run), bound.line)

    return name


def _check(name: str, line: int) -> str:
    if FIELD_NAME.fullmatch(name) is None or len(name) > NAME_LENGTH:
        raise SieveProblem(line, f"{name[:100]!r} is no name of a header field")
    return name


def _changed(run: Run, header: Header, edits: tuple[AddField | DeleteField, ...], line: int) -> None:
    run.header = header
    run.edits += edits
    if len(run.edits) > run.limits.edits:
        raise SieveProblem(line, f"more than {run.limits.edits} changes of the header")


def _addheader(bound: Bound) -> Step:
    name, value, last = _name(bound), bound.text(1), bound.has("last")

    def add(run: Run) -> None:
        run.spend(LOOKING * len(run.header.fields))
        edit = AddField(name(run), " ".join(value(run).replace("\0", "").split())[:VALUE_LENGTH], last)
        if edit.name.lower() in PROTECTED:
            return
        field = (edit.name.lower(), edit.value.encode("utf-8", "replace"))
        fields = (*run.header.fields, field) if last else (field, *run.header.fields)
        run.tell(bound.line, f"addheader {edit.name}")
        _changed(run, Header(fields), (edit,), bound.line)

    return add


def _deleteheader(bound: Bound) -> Step:
    name, choose = _name(bound), chosen(bound)
    matching = bound.matching
    if isinstance(matching, AskingMatch):
        raise bound.problem("':list' can't be used here")

    def delete(run: Run) -> None:
        run.spend(LOOKING * len(run.header.fields))
        wanted = name(run).lower()
        if wanted in PROTECTED:
            return
        places = choose([place for place, (one, _) in enumerate(run.header.fields) if one == wanted])
        if matching is not None:
            places = [place for place in places if matching(run, (field_text(run.header.fields[place][1]),))]
        if places:
            run.tell(bound.line, f"deleteheader {wanted}")
            gone = frozenset(places)
            fields = tuple([field for place, field in enumerate(run.header.fields) if place not in gone])
            _changed(run, Header(fields), tuple([DeleteField(place) for place in sorted(gone, reverse=True)]), bound.line)

    return delete


EXTENSION = Extension(
    "editheader",
    commands={
        "addheader": Command(_addheader, (Kind.STRING, Kind.STRING), (Tag("last"),)),
        "deleteheader": Command(
            _deleteheader,
            (Kind.STRING, Kind.STRINGS),
            (Tag("index", Kind.NUMBER), Tag("last")),
            optional=1,
            matches=True,
        ),
    },
)
