"""Settings: one clear line for each mistake."""

import re
from pathlib import Path

import pytest

from mailstack.config import Config, ConfigProblem, duration, load, render, size

ROOT = Path(__file__).parents[1]


def test_the_default_file_is_what_the_code_says() -> None:
    assert (ROOT / "etc" / "mailstack.toml").read_text() == render()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = Config(hostname="mail.b.test", data_dir="/x", postmaster="a@b.test")
    (tmp_path / "one.toml").write_text(render(config))
    assert load(tmp_path / "one.toml", {}) == config
    uncommented = re.sub(r"(?m)^# (\w+ = )", r"\1", render())
    (tmp_path / "all.toml").write_text(uncommented)
    assert load(tmp_path / "all.toml", {}) == Config()


def test_the_environment_overrides() -> None:
    config = load(
        None,
        {"MAILSTACK_LISTEN__SMTP": "127.0.0.1:1,127.0.0.1:2", "MAILSTACK_LIMITS__RECIPIENTS": "5", "MAILSTACK_HOSTNAME": "h"},
    )
    assert (config.listen.smtp, config.limits.recipients, config.hostname) == (["127.0.0.1:1", "127.0.0.1:2"], 5, "h")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("foo = 1", "foo"),
        ("[listen]\nfoo = 1", "listen.foo"),
        ('[limits]\nrecipients = "x"', "limits.recipients"),
        ('[tls]\nmode = "x"', "tls.mode"),
        ('[tls]\nmode = "files"', "tls.mode"),
        ('[listen]\nsmtp = ["25"]', "listen.smtp"),
        ('[database]\nurl = "postgresql://x"', "database.url"),
        ('[relay]\nexpire = "soon"', "relay.expire"),
        ('[limits]\nmessage_size = "big"', "limits.message_size"),
        ("not toml", "TOML"),
    ],
)
def test_a_mistake_names_file_and_key(tmp_path: Path, text: str, key: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(ConfigProblem) as problem:
        load(path, {})
    assert str(path) in str(problem.value)
    assert key in str(problem.value)
    assert "\n" not in str(problem.value)


def test_sizes_and_durations() -> None:
    assert (size("50MiB"), size("7"), duration("5m"), duration("2d")) == (50 << 20, 7, 300.0, 172800.0)
