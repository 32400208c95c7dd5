"""A script, compiled: `compile()` once, `run.run()` as often as messages come."""

from mailstack.sieve.compiled import Script as Script
from mailstack.sieve.compiler import Compiler
from mailstack.sieve.limits import Limits
from mailstack.sieve.parser import parse
from mailstack.sieve.table import EXTENSIONS

DEFAULT_LIMITS = Limits()
SOURCE, STEP, STATE = 6, 1100, 250  # octets of memory, measured: one of the source, a command or test, a state of an expression


def compile(source: bytes | str, limits: Limits = DEFAULT_LIMITS) -> Script:
    """Read a script. Raises SieveProblem with the first line that is wrong, and with nothing else."""
    source = source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")
    compiler = Compiler(EXTENSIONS, limits)
    step = compiler.script(parse(source, limits))
    octets = SOURCE * len(source) + STEP * compiler.count + STATE * compiler.vocabulary.states
    return Script(step, compiler.vocabulary.required, octets)
