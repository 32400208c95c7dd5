"""Who vouches for a certificate, as this system's list of authorities says."""

import datetime
from pathlib import Path

import pytest

from mailstack.net.tls import Chain
from mailstack.net.trial_ca import TrialFiles, make_trial
from mailstack.net.vouching import vouched_names

NOW = datetime.datetime.now(datetime.UTC)


def test_only_what_the_system_trusts_and_what_is_not_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain.load(*make_trial(tmp_path / "now", "mail.example.org", NOW))
    over = Chain.load(*make_trial(tmp_path / "then", "mail.example.org", NOW - datetime.timedelta(days=900)))
    assert vouched_names([chain]) == frozenset()
    trusted = tmp_path / "roots.pem"
    trusted.write_text("".join(TrialFiles(tmp_path / name).authority.read_text() for name in ("now", "then")))
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    found = vouched_names([over, chain])
    assert "mail.example.org" in found
    assert "localhost" in chain.names
    assert "localhost" not in found
    assert vouched_names([over]) == frozenset()
