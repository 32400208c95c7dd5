"""A container's first start makes a real server of what its environment says."""

import asyncio
from pathlib import Path

import pytest
import typer

from mailstack.app import Data
from mailstack.cli.first_start import first_start
from mailstack.config import load
from mailstack.store.users.passwords import PasswordChecker
from mailstack.store.users.records import AccountRecord

pytestmark = pytest.mark.clients  # no program of others, but seconds


def test_the_first_account_has_the_secret_as_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not first_start(tmp_path)
    (tmp_path / "secret").write_text("a long enough secret\n")
    monkeypatch.setenv("MAILSTACK_FIRST_ACCOUNT", "you@example.org")
    monkeypatch.setenv("MAILSTACK_FIRST_PASSWORD_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(typer.Exit):
        first_start(tmp_path / "data")
    monkeypatch.setenv("MAILSTACK_FIRST_PASSWORD_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("MAILSTACK_HOSTNAME", "post.example.org")
    assert first_start(tmp_path / "data")
    shown = capfd.readouterr().out
    assert "a long enough secret" not in shown
    assert "post.example.org. A" in shown
    config = load(tmp_path / "data" / "mailstack.toml", {})
    assert (config.hostname, config.data) == ("post.example.org", tmp_path / "data")

    async def login() -> object:
        data = Data(config)
        await data.open()
        checker = PasswordChecker(data.directory, scram=data.scram)
        try:
            return (await checker.verify("you@example.org", "a long enough secret")).record  # type: ignore[union-attr]
        finally:
            checker.close()
            await data.close()

    assert isinstance(asyncio.run(login()), AccountRecord)
