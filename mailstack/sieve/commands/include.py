"""include, return, global (RFC 6609)."""

from mailstack.sieve.bound import Bound
from mailstack.sieve.commands.variables import NAME
from mailstack.sieve.compiled import Script
from mailstack.sieve.events import refuse_delivery
from mailstack.sieve.extension import Command, Extension, Kind, Tag
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.questions import Asks, ScriptNamed
from mailstack.sieve.state import Return, Run
from mailstack.sieve.step import Asking, Step, do


def _include(bound: Bound) -> Step:
    asked = ScriptNamed(bound.constant(0), bound.has("global"))
    once, optional, line = bound.has("once"), bound.has("optional"), bound.line
    if not asked.name or len(asked.name) > 255 or "/" in asked.name:
        raise bound.problem(f"{asked.name[:100]!r} is no name of a script")

    def include(run: Run) -> Asks[None]:
        if asked in run.names:
            raise SieveProblem(line, f"the script {asked.name!r} includes itself")
        if asked in run.included and once:
            return
        run.included.append(asked)
        if len(run.included) > run.limits.includes or len(run.names) >= run.limits.include_depth:
            raise SieveProblem(line, "too many scripts are included")
        found = yield from run.ask(asked)
        if isinstance(found, Script):
            run.tell(line, f"include {asked.name}")
            if run.environment.event:
                refuse_delivery(found)
            yield from _inside(run, asked, found.step)
        elif not optional:
            raise SieveProblem(line, f"there is no script {asked.name!r} to include")

    return Asking(include)


def _inside(run: Run, name: ScriptNamed, step: Step) -> Asks[None]:
    """An included script has variables of its own, but for the global ones (RFC 6609 3.1)."""
    kept = run.variables, run.global_names, run.matched, run.names, run.script
    run.variables, run.global_names, run.matched = {}, frozenset(), ()
    run.names, run.script = (*run.names, name), name.name
    try:
        yield from do(step, run)
    except Return:
        pass
    run.variables, run.global_names, run.matched, run.names, run.script = kept


def _return(bound: Bound) -> Step:
    def back(run: Run) -> None:
        raise Return

    return back


def _global(bound: Bound) -> Step:
    if "variables" not in bound.required:
        raise bound.problem('it needs require "variables"')
    names = frozenset([name.lower() for name in bound.constants(0)])
    for name in names:
        if NAME.fullmatch(name) is None:
            raise bound.problem(f"{name[:100]!r} is no name of a variable")

    def declare(run: Run) -> None:
        run.global_names |= names

    return declare


EXTENSION = Extension(
    "include",
    commands={
        "include": Command(
            _include,
            (Kind.STRING,),
            (Tag("personal", None, "location"), Tag("global", None, "location"), Tag("once"), Tag("optional")),
        ),
        "return": Command(_return),
        "global": Command(_global, (Kind.STRINGS,)),
    },
)
