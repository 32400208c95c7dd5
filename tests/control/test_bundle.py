"""The support file: readable, and nobody in it."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.config import Acme, Config, Oauth, Relay
from mailstack.control.doctor.bundle import members, packed
from mailstack.control.doctor.pseudonyms import Pseudonyms
from tests.support.console import Console
from tests.support.server import Server

SECRETS = ("hunter2", "verysecret", "kid-1234", "T00/B00", "oPen5esAme9quiTeLongAndSecret", "typed-here")
NAMES = ("alice", "wonderland", "198.51.100.7", "2001:db8:1::7", "queen", "tea party", "Hatter", "10.1.2.3")
CONFIG = Config(
    hostname="mail.wonderland.org",
    data_dir="/srv/alice/mail",
    postmaster="alice@wonderland.org",
    relay=Relay(smarthost="smtp://queen:hunter2@relay.wonderland.org:587", source=["198.51.100.7"]),
    oauth=Oauth(client_id="x", client_secret_file="/srv/alice/verysecret"),
    acme=Acme(eab_kid="kid-1234", contact=["mailto:queen@wonderland.org"]),
)
LOG = [
    '{"event":"message.accepted","id":"0mwx1qf0knpc4d3v","sender":"queen@wonderland.org","to":["alice@wonderland.org"],"size":5}',
    '{"event":"imap.login","user":"alice","peer":"198.51.100.7","client":"Hatter 1.0","timestamp":"2026-11-26T04:00:00Z"}',
    '{"event":"x","subject":"tea party","exception":"File /srv/alice/x.py: mail.wonderland.org [2001:db8:1::7] 10.1.2.3"}',
    '{"event":"webhook.failed","url":"https://hooks.wonderland.org/services/T00/B00/oPen5esAme9quiTeLongAndSecret?x=hunter2"}',
    '{"event":"http.failed","path":"/setup/oPen5esAme9quiTeLongAndSecret"}',
    '{"event":"smtp.login_failed","user":"typed-here"}',
    "2026-11-26 04:00:00 message.deferred reply='450 <alice@wonderland.org> says queen@WONDERLAND.org from 198.51.100.7'",
]
FINDINGS = [
    {
        "what": "MX wonderland.org",
        "state": "bad",
        "text": "want 10 mail.wonderland.org.; relay.smarthost",
        "fix": "dns.addresses",
    }
]


def test_no_secret_and_nobody_gets_in() -> None:
    files = members(CONFIG, FINDINGS, {"accounts": 1}, LOG, ["alice", "queen"])
    whole = "\n".join(files.values())
    for word in (*SECRETS, *NAMES):
        assert word.lower() not in whole.lower(), word
    with tarfile.open(fileobj=io.BytesIO(packed(files))) as archive:
        assert [member.name for member in archive] == [f"mailstack-support/{name}" for name in files]
    # It is still good for something.
    kept = json.loads(files["settings.json"])
    assert kept["relay.smarthost"].startswith("smtp://***@host")
    assert "relay.smarthost" in files["findings.json"]
    assert "dns.addresses" in files["findings.json"]
    lines = files["log.txt"].splitlines()
    first = json.loads(lines[0])
    assert (first["event"], first["id"], first["size"]) == ("message.accepted", "0mwx1qf0knpc4d3v", 5)
    assert json.loads(lines[1])["user"] == "user1"
    assert json.loads(lines[1])["peer"] in lines[-1]  # the same name for the same thing
    assert json.loads(lines[1])["timestamp"] == "2026-11-26T04:00:00Z"


@pytest.mark.parametrize(
    "text", ["127.0.0.1:25", "[::1]:25", "[::]:443", "04:00:00", "1.5 ms", "tls.mode", "/data/x.pem", "https://x.example/"]
)
def test_what_names_nobody_stays(text: str) -> None:
    assert Pseudonyms(words=["tls.mode"]).hide(text) == text


LOCAL = st.from_regex(r"[a-z][a-z0-9._+-]{2,12}[a-z0-9]", fullmatch=True)
DOMAIN = st.from_regex(r"[a-z][a-z0-9-]{3,10}[a-z0-9]\.(org|de|museum|xn--p1ai)", fullmatch=True)


@settings(max_examples=40, deadline=None)
@given(
    LOCAL, DOMAIN, st.ip_addresses(), st.sampled_from(["<{}>", "x={}", "({})", "{},", "'{}'", "to={};", "{}:", "[{}]", "{}"])
)
def test_any_address_is_hidden(local: str, domain: str, address: object, around: str) -> None:
    names = Pseudonyms()
    hidden = names.hide(f"a {around.format(f'{local}@{domain}')} b {around.format(domain)} c")
    assert domain not in hidden
    assert "user1@host1.example" in hidden
    text = str(address)
    if ":" in text or not text.startswith(("127.", "0.0.0.0")):
        assert text in ("::", "::1") or text not in names.hide(f"from {text} port"), text


def test_the_command_says_what_goes_in(tmp_path: Path) -> None:
    server = Server(tmp_path, domain="wonderland.test")
    (tmp_path / "log").write_text("\n".join(LOG))
    said = Console(server).run("check", "--bundle", str(tmp_path / "b.tar.gz"), "--log", str(tmp_path / "log")).stdout
    assert "findings.json" in said
    assert "Look before you send it" in said
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o777 == 0o600
    with tarfile.open(tmp_path / "b.tar.gz") as archive:
        text = b"".join(archive.extractfile(member).read() for member in archive).decode()  # type: ignore[union-attr]
    assert "wonderland" not in text
