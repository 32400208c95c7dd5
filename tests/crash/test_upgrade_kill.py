"""kill -9 at random instants of an upgrade: the database is the old one or the new one, whole, and the next start finishes."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mailstack.store.backup.databases import check_database
from mailstack.store.database import revision_of
from tests.store.test_upgrading import GOOD, addresses, later, start, template
from tests.support.server import ROOT

__all__ = ["template"]  # a fixture
ROUNDS = max(6, int(os.environ.get("MAILSTACK_CRASH_ROUNDS", "6")))
SLOW = "    import time\n    time.sleep(0.2)\n"


@pytest.mark.crash
@pytest.mark.timeout(3600)
def test_killed_at_any_moment_it_is_the_old_one_or_the_new_one(template: Path, tmp_path: Path) -> None:
    migrations = later(tmp_path, GOOD + SLOW, GOOD.replace("colour", "shape") + SLOW)
    code = (
        "import sys; from pathlib import Path; from mailstack.store.database import Database; "
        f"Database(Path(sys.argv[1]), Path({str(migrations)!r})).start()"
    )
    pause, seen = random.Random(41), set()
    for number in range(ROUNDS):
        path = tmp_path / str(number) / "mailstack.sqlite3"
        shutil.copytree(template, path.parent)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
        )
        time.sleep(pause.uniform(0.5, 3.0))
        process.kill()
        process.wait()
        seen.add(revision_of(path))
        assert addresses(path) == ["alice@a.test"]
        check_database(path)
        start(path, migrations)
        assert (revision_of(path), addresses(path)) == ("9002", ["alice@a.test"])
    print(f"{ROUNDS} kills, left at {sorted(map(str, seen))}")
