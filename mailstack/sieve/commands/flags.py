"""setflag, addflag, removeflag, hasflag, :flags (RFC 5232)."""

from collections.abc import Callable, Sequence

from mailstack.sieve.bound import Bound
from mailstack.sieve.commands.variables import store_into
from mailstack.sieve.extension import Command, Extension, Kind, Tag, Test
from mailstack.sieve.flagging import read_flags
from mailstack.sieve.matching import checked
from mailstack.sieve.state import Run
from mailstack.sieve.step import Check, Step
from mailstack.sieve.strings import named

Change = Callable[[tuple[str, ...], tuple[str, ...]], tuple[str, ...]]


def _set(flags: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return new


def _add(flags: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return read_flags((*flags, *new))


def _remove(flags: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    without = {flag.lower() for flag in new}
    return tuple([flag for flag in flags if flag.lower() not in without])


def _changing(change: Change) -> Callable[[Bound], Step]:
    def build(bound: Bound) -> Step:
        words = bound.texts(1)
        if bound.given(0):
            return _on_variable(bound, change)

        def alter(run: Run) -> None:
            run.flags = change(run.flags or (), read_flags(words(run)))

        return alter

    return build


def _needs_variables(bound: Bound) -> None:
    if "variables" not in bound.required:
        raise bound.problem('a variable needs require "variables"')


def _on_variable(bound: Bound, change: Change) -> Step:
    _needs_variables(bound)
    words, name = bound.texts(1), bound.constant(0)
    store, value = store_into(bound, name), named(name.lower())

    def alter(run: Run) -> None:
        store(run, " ".join(change(read_flags((value(run),)), read_flags(words(run)))))

    return alter


def _hasflag(bound: Bound) -> Check:
    if not bound.given(0):
        return checked(lambda run: run.flags or (), bound.match())
    _needs_variables(bound)
    names = bound.texts(0)

    def values(run: Run) -> Sequence[str]:
        return [flag for name in names(run) for flag in read_flags((named(name.lower())(run),))]

    return checked(values, bound.match())


_CHANGE = (Kind.STRING, Kind.STRINGS)
_FLAGS = (Tag("flags", Kind.STRINGS),)
EXTENSION = Extension(
    "imap4flags",
    commands={
        "setflag": Command(_changing(_set), _CHANGE, optional=0),
        "addflag": Command(_changing(_add), _CHANGE, optional=0),
        "removeflag": Command(_changing(_remove), _CHANGE, optional=0),
    },
    tests={"hasflag": Test(_hasflag, (Kind.STRINGS, Kind.STRINGS), optional=0, matches=True, words=True)},
    tags={"keep": _FLAGS, "fileinto": _FLAGS},
)
