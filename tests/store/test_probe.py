"""What a mount is tried for."""

import os
from pathlib import Path

import pytest

from mailstack.store.probe import probe


def test_an_ordinary_folder_can_carry_the_store(tmp_path: Path) -> None:
    assert not [finding for finding in probe(tmp_path) if finding.fatal]
    assert list(tmp_path.iterdir()) == []


def test_small_blocks_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    small = os.statvfs_result((1024, *tuple(real)[1:]))
    monkeypatch.setattr(os, "statvfs", lambda _: small)
    (finding,) = probe(tmp_path)
    assert "blocks of 1024 octets" in finding.text
    assert not finding.fatal


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (finding,) = probe(tmp_path / "nowhere")
    assert finding.fatal
