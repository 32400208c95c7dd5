"""Real programs log in by SCRAM, with channel binding and by tokens, and fetch by POP3: make test-clients."""

import shutil
import time
from pathlib import Path

import pytest

from tests.clients.test_clients import certificate, fill, run, subjects
from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients


def token(server: Server, account: str) -> str:
    claims = {"iss": "https://id.a.test", "aud": "mail", "exp": time.time() + 600, "email": f"{account}@a.test"}
    return str(server.signing_key.token(claims))  # type: ignore[attr-defined]


@pytest.mark.parametrize("mechanism", ["scram-sha-256", "plain", "login", "oauthbearer", "xoauth2"])
@pytest.mark.parametrize("tls", ["on", "off"])
def test_msmtp(server: Server, account: str, mechanism: str, tls: str) -> None:
    address = f"{account}@a.test"
    secret = token(server, account) if "oauth" in mechanism or mechanism == "xoauth2" else PASSWORD
    if tls == "off" and mechanism not in ("scram-sha-256",):
        pytest.skip("msmtp sends no secret in the clear")
    run("msmtp", "--host=127.0.0.1", f"--port={server.ports['submission']}", f"--auth={mechanism}", f"--user={address}",
        f"--tls={tls}", "--tls-starttls=on", *(["--tls-certcheck=off"] if tls == "on" else []),
        f"--passwordeval=echo '{secret}'", f"--from={address}", address,
        stdin=f"From: {address}\nSubject: by {mechanism}\n\nx\n")  # fmt: skip
    assert subjects(server, account) == [f"by {mechanism}"]


@pytest.mark.parametrize("door", ["imap", "imaps", "pop3", "pop3s"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"])
def test_curl(server: Server, account: str, door: str, mechanism: str) -> None:
    fill(server, account, 1)
    url = f"{door}://127.0.0.1:{server.ports[door]}/" + ("INBOX;UID=1" if door.startswith("imap") else "1")
    tls = ("-k",) if door.endswith("s") else ("-k", "--ssl-reqd") if mechanism == "PLAIN" else ()
    login: tuple[str, ...] = ("--user", f"{account}@a.test:{PASSWORD}")
    if "OAUTH" in mechanism or mechanism == "XOAUTH2":
        login = ("--user", f"{account}@a.test", "--oauth2-bearer", token(server, account))
    shown = run("curl", "-sS", *tls, url, *login, "--login-options", f"AUTH={mechanism}")
    assert "Subject: mail 0" in shown.stdout


@pytest.mark.parametrize("mechanism", ["scram-sha-256", "oauthbearer"])
@pytest.mark.parametrize("program", ["mutt", "neomutt"])
def test_mutt(server: Server, account: str, tmp_path: Path, program: str, mechanism: str) -> None:
    fill(server, account, 3)
    for needed in (program, "script"):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed (make test-clients installs it)")
    target = tmp_path / "copied"
    (tmp_path / "certificate.pem").write_text(certificate(server))
    secret = token(server, account) if mechanism == "oauthbearer" else ""
    (tmp_path / "muttrc").write_text(
        f'set imap_user="{account}@a.test"\nset imap_pass="{PASSWORD}"\nset imap_authenticators="{mechanism}"\n'
        f'set imap_oauth_refresh_command="echo {secret}"\nset ssl_starttls=yes\nset ssl_force_tls=yes\n'
        f'set certificate_file="{tmp_path}/certificate.pem"\nset ssl_usesystemcerts=no\nset ssl_verify_host=no\n'
        f'set folder="{tmp_path}"\nset mbox_type=mbox\nset confirmappend=no\nset confirmcreate=no\nset auto_tag=yes\n'
        "set quit=yes\nset wait_key=no\n"
        f'push "<tag-pattern>~A<enter><copy-message><kill-line>{target}<enter><quit>"\n'
    )
    url = f"imaps://localhost:{server.ports['imaps']}/INBOX"
    run("script", "-qec", f"TERM=xterm {program} -n -R -F {tmp_path}/muttrc -f {url}", "/dev/null", home=tmp_path)
    assert target.read_text().count("Subject: mail ") == 3


@pytest.mark.parametrize("protocol", ["imap", "submission"])
def test_gsasl_binds_to_the_channel(server: Server, account: str, tmp_path: Path, protocol: str) -> None:
    """By tls-unique, with TLS 1.2: its library and ours agree on what that is."""
    (tmp_path / "certificate.pem").write_text(certificate(server))
    common = ("--imap" if protocol == "imap" else "--smtp", f"--authentication-id={account}@a.test", f"--password={PASSWORD}",
              "--starttls", f"--x509-ca-file={tmp_path}/certificate.pem", "--quality=qop-auth", "--verbose",
              f"--connect=localhost:{server.ports[protocol]}")  # fmt: skip
    run("gsasl", "--mechanism=SCRAM-SHA-256-PLUS", "--priority=NORMAL:-VERS-TLS1.3", *common)
    run("gsasl", "--mechanism=SCRAM-SHA-256", "--no-cb", *common)


# POP3 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [True, False])
def test_fetchmail_by_pop3(server: Server, account: str, tmp_path: Path, keep: bool) -> None:
    fill(server, account, 4)
    out, rc = tmp_path / "out", tmp_path / "fetchmailrc"
    rc.write_text(
        f"poll 127.0.0.1 protocol pop3 service {server.ports['pop3']} uidl\n"
        f'  user "{account}@a.test" password "{PASSWORD}" sslproto "" {"keep" if keep else "nokeep"} mda "cat >> {out}"\n'
    )
    rc.chmod(0o700)
    run(
        "fetchmail", "-f", str(rc), "--nosyslog", "--pidfile", str(tmp_path / "pid"), "-i", str(tmp_path / "ids"), home=tmp_path
    )
    assert out.read_text().count("Subject: mail ") == 4
    assert len(subjects(server, account)) == (4 if keep else 0)


@pytest.mark.parametrize("mechanism", ["user", "plain", "scram-sha-256", "xoauth2"])
@pytest.mark.parametrize("tls", ["stls", "implicit"])
def test_mpop(server: Server, account: str, tmp_path: Path, mechanism: str, tls: str) -> None:
    """It keeps the mail, fetches what is new by its UIDL, and then removes."""
    fill(server, account, 3)
    secret = token(server, account) if mechanism == "xoauth2" else PASSWORD
    out, rc = tmp_path / "out", tmp_path / "mpoprc"

    def fetch(keep: str) -> int:
        rc.write_text(
            f"account default\nhost 127.0.0.1\nport {server.ports['pop3' if tls == 'stls' else 'pop3s']}\n"
            f"user {account}@a.test\npasswordeval echo '{secret}'\nauth {mechanism}\ntls on\n"
            f"tls_starttls {'on' if tls == 'stls' else 'off'}\ntls_certcheck off\nkeep {keep}\n"
            f"uidls_file {tmp_path}/uidls\ndelivery mbox {out}\n"
        )
        rc.chmod(0o600)
        run("mpop", "-C", str(rc), "-q", home=tmp_path)
        return out.read_text().count("Subject: mail ")

    assert fetch("on") == 3
    assert fetch("on") == 3
    fill(server, account, 1)
    assert fetch("off") == 4
    assert subjects(server, account) == []
