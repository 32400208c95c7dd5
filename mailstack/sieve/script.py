"""A script, compiled: `compile()` once, `run.run()` as often as messages come."""

from mailstack.sieve.compiled import Script as Script
from mailstack.sieve.compiler import Compiler
from mailstack.sieve.limits import Limits
from mailstack.sieve.parser import parse
from mailstack.sieve.table import EXTENSIONS

DEFAULT_LIMITS = Limits()


def compile(source: bytes | str, limits: Limits = DEFAULT_LIMITS) -> Script:
    """Read a script. Raises SieveProblem with the first line that is wrong, and with nothing else."""
    octets = source if isinstance(source, bytes) else source.encode("utf-8", "surrogatepass")
    compiler = Compiler(EXTENSIONS, limits)
    step = compiler.script(parse(octets, limits))
    return Script(step, compiler.vocabulary.required)
