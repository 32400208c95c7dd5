"""How long a database stays as it was before an upgrade."""

from pathlib import Path

import pytest

from mailstack.store.disk import Disk
from mailstack.store.upgrade_copies import DAYS, SEEN, forget_copies

DAY = 86400.0
OLD, NEW = "from-0012-2026-01-01T000000Z", "from-0009-2026-02-01T000000Z"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (OLD, NEW):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mailstack.sqlite3").write_bytes(b"x")
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_newest_stays_and_older_ones_go_by_days_that_were_well(folder: Path) -> None:
    for day in range(DAYS - 1):
        assert forget_copies(folder, day * DAY, Disk(), well=True) == []
        assert forget_copies(folder, day * DAY + 60.0, Disk(), well=True) == [], "a day counts once"
    assert forget_copies(folder, 400 * DAY, Disk(), well=False) == [], "time alone proves nothing"
    (folder / NEW / SEEN).write_bytes(b"damaged")
    assert forget_copies(folder, 401 * DAY, Disk(), well=True) == [OLD]
    for day in range(402, 500):
        assert forget_copies(folder, day * DAY, Disk(), well=True) == []
    assert names(folder) == {NEW}


def test_no_copies(tmp_path: Path) -> None:
    assert forget_copies(tmp_path / "upgrade", 0.0, Disk(), well=True) == []
