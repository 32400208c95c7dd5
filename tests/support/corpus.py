"""The collected mails: in a folder of the environment, or beside the checkout."""

import os
from pathlib import Path

import pytest


def mails() -> list[tuple[str, bytes]]:
    """Name and bytes of each; skips the test where there are none."""
    folder = Path(os.environ.get("MAILSTACK_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))
    if not folder.is_dir():
        pytest.skip("the corpus of collected mails is not beside the checkout (MAILSTACK_CORPUS)")
    return [(str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.glob("*/*")) if path.is_file()]
