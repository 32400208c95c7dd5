"""How much a script may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What one script, and one run of it, may use. Sizes are octets of source and characters of text."""

    script: int = 1 << 20
    nesting: int = 32  # of blocks, and of tests
    actions: int = 32
    redirects: int = 4
    edits: int = 512  # fields of the header that are added or deleted
    variable: int = 8192  # characters of a variable's value; at least 4,000 (RFC 5229 6)
    variables: int = 256  # at least 128 (RFC 5229 6)
    text: int = 65536  # characters of a string after its variables were put in
    includes: int = 32  # scripts that one run includes; at least 3 deep (RFC 6609 3.2)
    include_depth: int = 10
    questions: int = 256  # that one run may ask
    work: int = 100_000_000  # characters looked at, and what tests cost besides: some 10 ns each, at most
    pattern: int = 1000  # states of a regular expression
    patterns: int = 20_000  # of all those of one script that are the same in each run
    vacation_seconds: int = 86400  # the shortest time between two answers to one sender
