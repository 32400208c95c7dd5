"""When a backup is due, and when deleted mail goes."""

import datetime
from pathlib import Path

import pytest

from mailstack.app.backing_up import BackupSettings, due
from mailstack.app.sweeping import Sweeping
from mailstack.config import Config
from mailstack.config.settings import Backup
from mailstack.store.disk import Disk
from mailstack.store.mailbox.graves import KeepDeleted

SETTINGS = BackupSettings.of(Config(backup=Backup(dir="/b", at="03:30")))


def at(day: int, hour: int, minute: int) -> float:
    return datetime.datetime(2026, 11, day, hour, minute).astimezone().timestamp()


@pytest.mark.parametrize(
    ("now", "last", "is_due"),
    [
        (at(26, 3, 31), at(25, 3, 30), True),
        (at(26, 3, 29), at(25, 3, 30), False),
        (at(26, 3, 40), at(26, 3, 31), False),
        (at(26, 12, 0), at(25, 3, 30), True),  # it was off at the time
        (at(26, 3, 0), at(24, 3, 30), True),
    ],
)
def test_one_is_due_each_day_and_a_missed_one_is_made_up_for(now: float, last: float, is_due: bool) -> None:
    assert due(SETTINGS, now, last) is is_due


async def test_deleted_mail_goes_when_its_time_is_over(tmp_path: Path) -> None:
    folder = tmp_path / "a.test/alice/deleted/INBOX"
    folder.mkdir(parents=True)
    for when in (100, 900):
        (folder / f"{when}~~1.u{when}.mail,S=1,W=1,M=5.{when}:2,S").write_text("x")
    keep = KeepDeleted(500.0, 0)
    sweeping = Sweeping(tmp_path, Disk(), keep, lambda: 1000.0)
    assert await sweeping.sweep() == 1
    keep.seconds = None
    assert await sweeping.sweep() == 1, "switched off, nothing is kept"
