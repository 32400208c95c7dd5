"""The index file alone."""

import sqlite3
from pathlib import Path

import pytest

from mailstack.store.disk import Disk
from mailstack.store.mailbox.index import Index


def test_what_could_not_be_opened_again_is_opened_later(tmp_path: Path) -> None:
    folder, away = tmp_path / "account", tmp_path / "away"
    folder.mkdir()
    index = Index(folder / "index.sqlite3", Disk())
    folder.rename(away)
    with pytest.raises(sqlite3.OperationalError):
        index.reopen()
    away.rename(folder)
    assert index.last() == 0
    assert index.segments("nothing") == []
    index.close(None)
