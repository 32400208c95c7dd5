"""A script, compiled: `compile()` once, `run.run()` as often as messages come."""

from dataclasses import dataclass

from mailstack.sieve.compiler import Compiler
from mailstack.sieve.limits import Limits
from mailstack.sieve.parser import parse
from mailstack.sieve.step import Step
from mailstack.sieve.table import EXTENSIONS

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Script:
    """What a source means. It holds no state of a run: any number may share it."""

    step: Step
    required: frozenset[str]


def compile(source: bytes | str, limits: Limits = DEFAULT_LIMITS) -> Script:
    """Read a script. Raises SieveProblem with the first line that is wrong, and with nothing else."""
    octets = source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")
    compiler = Compiler(EXTENSIONS, limits)
    step = compiler.script(parse(octets, limits))
    return Script(step, compiler.vocabulary.required)
