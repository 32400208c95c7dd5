"""`python -m mailstack.store.takeout.helper`: pieces come in, and a zip goes out. It ends when either pipe does."""

import os
import sys

from mailstack.store.takeout.pieces import lines
from mailstack.store.takeout.writing import Writer

NICENESS = 10


def main() -> None:
    os.nice(NICENESS)
    try:
        with os.fdopen(os.dup(1), "wb") as stream:
            Writer(stream).write(lines(sys.stdin.buffer))
    except BrokenPipeError:
        os._exit(1)  # nobody wants it any more


if __name__ == "__main__":
    main()
