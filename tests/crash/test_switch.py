"""go-public: where the server can't start with the new settings, the trial is what it was."""

import smtplib

import pytest

from tests.e2e.test_going_public import COMMAND, publish, subjects, trial, zone
from tests.support.console import Console
from tests.support.dnsserver import DnsServer
from tests.support.server import PASSWORD, Server

__all__ = ["trial", "zone"]
pytestmark = pytest.mark.crash


def test_what_fails_leaves_the_trial_as_it_was(trial: Server, zone: DnsServer) -> None:
    console = Console(trial)
    before = trial.configuration.read_text()
    console.run("domain", "add", "real.test")
    publish(console, zone)
    # A certificate that is not there: the server can't start with the new settings.
    before = before.replace('mode = "self-signed"', 'mode = "self-signed"\ncertificate = "/no"\nkey = "/no"')
    trial.configuration.write_text(before)
    command = [*COMMAND, "--server", f"127.0.0.1:{zone.port}"]
    command[command.index("self-signed")] = "files"
    said = console.run(*command, check=False)
    assert said.returncode == 1
    assert "everything is put back" in said.stderr
    assert trial.configuration.read_text() == before
    assert not list(trial.folder.glob("*.trial"))
    assert subjects(trial, "alice@home.test") == 1
    with pytest.raises(smtplib.SMTPAuthenticationError), smtplib.SMTP("127.0.0.1", trial.ports["submission"]) as client:
        client.login("alice@real.test", PASSWORD)
