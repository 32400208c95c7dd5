"""reject, ereject (RFC 5429)."""

from mailstack.sieve.actions import Reject
from mailstack.sieve.bound import Bound
from mailstack.sieve.extension import Command, Extension, Kind
from mailstack.sieve.state import Run
from mailstack.sieve.step import Step


def _reject(bound: Bound) -> Step:
    reason, protocol = bound.text(0), bound.name == "ereject"

    def reject(run: Run) -> None:
        run.keeps = False
        run.act(Reject(bound.line, reason(run), protocol))

    return reject


EXTENSION = Extension("reject", commands={"reject": Command(_reject, (Kind.STRING,))})
PROTOCOL = Extension("ereject", commands={"ereject": Command(_reject, (Kind.STRING,))})
