"""Each program sends to, or synchronises with, a running appliance: make test-clients."""

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients


def run(program: str, *arguments: str, stdin: str = "", home: Path | None = None) -> subprocess.CompletedProcess[str]:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (make test-clients installs it)")
    environment = {**os.environ, **({"HOME": str(home)} if home else {})}
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, timeout=90, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def subjects(server: Server, account: str, mailbox: str = "INBOX") -> list[str]:
    connection = server.imap(account)
    connection.select(mailbox, readonly=True)
    _, data = connection.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    connection.logout()
    return [piece[1].decode().strip().removeprefix("Subject: ") for piece in data if isinstance(piece, tuple)]


def fill(server: Server, account: str, count: int) -> None:
    connection = server.imap(account)
    for number in range(count):
        text = f"From: a@far.test\r\nSubject: mail {number}\r\nMessage-ID: <{number}@far.test>\r\n\r\nbody {number}\r\n"
        connection.append("INBOX", None, None, text.encode())
    connection.logout()


def test_swaks_delivers_and_submits_over_tls(server: Server, account: str) -> None:
    address = f"{account}@a.test"
    common = ("--to", address, "--server", "127.0.0.1", "--h-Subject")
    run("swaks", "--from", "x@far.test", *common, "plain", "--port", str(server.ports["smtp"]))
    run("swaks", "--from", "x@far.test", *common, "tls", "--port", str(server.ports["smtp"]), "-tls")
    login = ("--auth", "PLAIN", "--auth-user", address, "--auth-password", PASSWORD)
    run("swaks", "--from", address, *common, "submitted", "--port", str(server.ports["submission"]), "-tls", *login)
    run("swaks", "--from", address, *common, "implicit", "--port", str(server.ports["submissions"]), "--tls-on-connect", *login)
    assert subjects(server, account) == ["plain", "tls", "submitted", "implicit"]


def test_curl_sends_and_fetches(server: Server, account: str, tmp_path: Path) -> None:
    address = f"{account}@a.test"
    mail = tmp_path / "mail"
    mail.write_text(f"From: {address}\r\nSubject: by curl\r\n\r\nhello\r\n")
    run("curl", "-sS", "-k", f"smtps://127.0.0.1:{server.ports['submissions']}", "--mail-from", address, "--mail-rcpt", address,
        "--user", f"{address}:{PASSWORD}", "--upload-file", str(mail))  # fmt: skip
    shown = run(
        "curl", "-sS", "-k", f"imaps://127.0.0.1:{server.ports['imaps']}/INBOX;UID=1", "--user", f"{address}:{PASSWORD}"
    )
    assert "Subject: by curl" in shown.stdout


def test_msmtp_submits(server: Server, account: str) -> None:
    address = f"{account}@a.test"
    run("msmtp", "--host=127.0.0.1", f"--port={server.ports['submission']}", "--auth=on", f"--user={address}", "--tls=on",
        "--tls-starttls=on", "--tls-certcheck=off", f"--passwordeval=echo '{PASSWORD}'", f"--from={address}", address,
        stdin=f"From: {address}\nSubject: by msmtp\n\nbare line ends\n")  # fmt: skip
    assert subjects(server, account) == ["by msmtp"]


@pytest.mark.parametrize("count", [20])
def test_mbsync_both_ways(server: Server, account: str, tmp_path: Path, count: int) -> None:
    fill(server, account, count)
    (tmp_path / "mail").mkdir()
    (tmp_path / "mbsyncrc").write_text(
        f"""
IMAPAccount one
Host 127.0.0.1
Port {server.ports["imap"]}
User {account}@a.test
Pass "{PASSWORD}"
SSLType None
AuthMechs LOGIN

IMAPStore far
Account one

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""
    )
    run("mbsync", "-c", str(tmp_path / "mbsyncrc"), "-a")
    near = sorted((tmp_path / "mail" / "INBOX").glob("*/*"))
    mails = [path for path in near if path.is_file() and path.parent.name in ("new", "cur")]
    assert len(mails) == count
    mails[0].unlink()
    (tmp_path / "mail" / "INBOX" / "cur" / "1700000000.mine.host:2,S").write_text("Subject: from near\n\nx\n")
    run("mbsync", "-c", str(tmp_path / "mbsyncrc"), "-a")
    found = subjects(server, account)
    assert len(found) == count
    assert "from near" in found


def test_offlineimap_synchronises(server: Server, account: str, tmp_path: Path) -> None:
    fill(server, account, 5)
    (tmp_path / "rc").write_text(
        f"""
[general]
accounts = one
metadata = {tmp_path}/meta
[Account one]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {tmp_path}/mail
[Repository far]
type = IMAP
remotehost = 127.0.0.1
remoteport = {server.ports["imap"]}
remoteuser = {account}@a.test
remotepass = {PASSWORD}
ssl = no
starttls = no
auth_mechanisms = LOGIN
"""
    )
    run("offlineimap", "-o", "-c", str(tmp_path / "rc"), "-u", "basic", home=tmp_path)
    mails = [path for part in ("new", "cur") for path in (tmp_path / "mail" / "INBOX" / part).iterdir()]
    assert len(mails) == 5


@pytest.mark.parametrize("way", ["imap", "maildir"])
def test_mutt_reads(server: Server, account: str, tmp_path: Path, way: str) -> None:
    """By IMAP, and the Maildir itself: all messages are copied to an mbox by keys that are pushed."""
    fill(server, account, 3)
    if shutil.which("script") is None:
        pytest.skip("script (a terminal for mutt) is not installed")
    target = tmp_path / "copied"
    (tmp_path / "muttrc").write_text(
        f'set imap_user="{account}@a.test"\nset imap_pass="{PASSWORD}"\nset ssl_starttls=no\nset ssl_force_tls=no\n'
        f'set folder="{tmp_path}"\nset mbox_type=mbox\nset confirmappend=no\nset confirmcreate=no\nset auto_tag=yes\n'
        'set quit=yes\nset wait_key=no\nset tunnel=""\n'
        f'push "<tag-pattern>~A<enter><copy-message><kill-line>{target}<enter><quit>"\n'
    )
    maildir = server.data / "mail" / "a.test" / account / "Maildir"
    source = f"imap://127.0.0.1:{server.ports['imap']}/INBOX" if way == "imap" else str(maildir)
    command = f"TERM=xterm mutt -n -R -F {tmp_path}/muttrc -f {source}"
    run("script", "-qec", command, "/dev/null", home=tmp_path)
    assert target.read_text().count("Subject: mail ") == 3


def test_fetchmail_collects(server: Server, account: str, tmp_path: Path) -> None:
    fill(server, account, 4)
    out = tmp_path / "out"
    rc = tmp_path / "fetchmailrc"
    rc.write_text(
        f"poll 127.0.0.1 protocol imap service {server.ports['imap']} auth password\n"
        f'  user "{account}@a.test" password "{PASSWORD}" sslproto "" mda "cat >> {out}"\n'
    )
    rc.chmod(0o700)
    run(
        "fetchmail", "-f", str(rc), "--nosyslog", "--pidfile", str(tmp_path / "pid"), "-i", str(tmp_path / "ids"), home=tmp_path
    )
    assert out.read_text().count("Subject: mail ") == 4
    assert subjects(server, account) == []


def test_getmail_collects(server: Server, account: str, tmp_path: Path) -> None:
    """Twice: it knows by UIDs what it has."""
    fill(server, account, 4)
    (tmp_path / "rc").write_text(
        f"[retriever]\ntype = SimpleIMAPRetriever\nserver = 127.0.0.1\nport = {server.ports['imap']}\n"
        f'username = {account}@a.test\npassword = {PASSWORD}\nmailboxes = ("INBOX",)\n'
        f'[destination]\ntype = MDA_external\npath = /bin/sh\narguments = ("-c", "cat >> {tmp_path}/out")\n'
        "allow_root_commands = true\n[options]\nread_all = false\n"
    )
    for _ in range(2):
        run("getmail", "--getmaildir", str(tmp_path), "--rcfile", str(tmp_path / "rc"), home=tmp_path)
        assert (tmp_path / "out").read_text().count("Subject: mail ") == 4
    assert len(subjects(server, account)) == 4


def test_notmuch_indexes_our_maildir(server: Server, account: str, tmp_path: Path) -> None:
    fill(server, account, 3)
    maildir = server.data / "mail" / "a.test" / account / "Maildir"
    (tmp_path / ".notmuch-config").write_text(
        f"[database]\npath={tmp_path}/database\nmail_root={maildir}\n[user]\nname=x\nprimary_email=x@a.test\n[new]\ntags=inbox\n"
        "ignore=.mailstack;dovecot-keywords;subscriptions;maildirfolder\n"
    )
    (tmp_path / "database").mkdir()
    run("notmuch", "new", home=tmp_path)
    assert run("notmuch", "count", "subject:mail", home=tmp_path).stdout.strip() == "3"


def mbsyncrc(tmp_path: Path, account: str, port: int, tls: str) -> Path:
    """`tls` as mbsync names it: None, STARTTLS or IMAPS."""
    rc = tmp_path / "mbsyncrc"
    certificate = f"CertificateFile {tmp_path}/certificate.pem\n" if tls != "None" else ""
    rc.write_text(
        f"""
IMAPAccount one
Host localhost
Port {port}
User {account}@a.test
Pass "{PASSWORD}"
SSLType {tls}
{certificate}AuthMechs LOGIN

IMAPStore far
Account one

MaildirStore near
Path {tmp_path}/mail/
Inbox {tmp_path}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""
    )
    return rc


def certificate(server: Server) -> str:
    return ssl.get_server_certificate(("127.0.0.1", server.ports["imaps"]))


@pytest.mark.parametrize(("tls", "door"), [("IMAPS", "imaps"), ("STARTTLS", "imap")])
def test_mbsync_over_tls(server: Server, account: str, tmp_path: Path, tls: str, door: str) -> None:
    """With flags and a new mailbox, both ways."""
    fill(server, account, 5)
    (tmp_path / "mail").mkdir()
    (tmp_path / "certificate.pem").write_text(certificate(server))
    rc = mbsyncrc(tmp_path, account, server.ports[door], tls)
    run("mbsync", "-c", str(rc), "-a")
    near = sorted(path for path in (tmp_path / "mail" / "INBOX").glob("*/*") if path.parent.name in ("new", "cur"))
    assert len(near) == 5
    near[0].rename(near[0].parent.parent / "cur" / (near[0].name.partition(":")[0] + ":2,FS"))
    for part in ("cur", "new", "tmp"):
        (tmp_path / "mail" / "Grüße" / part).mkdir(parents=True)
    (tmp_path / "mail" / "Grüße" / "new" / "1700000000.mine.host").write_text("Subject: in a new one\n\nx\n")
    run("mbsync", "-c", str(rc), "-a")
    connection = server.imap(account)
    connection.select("INBOX", readonly=True)
    assert connection.search(None, "FLAGGED", "SEEN")[1] == [b"1"]
    connection.logout()
    assert subjects(server, account, "Gr&APwA3w-e") == ["in a new one"]


@pytest.mark.parametrize("tls", ["imaps", "starttls"])
def test_mutt_reads_over_tls(server: Server, account: str, tmp_path: Path, tls: str) -> None:
    fill(server, account, 3)
    if shutil.which("script") is None:
        pytest.skip("script (a terminal for mutt) is not installed")
    target = tmp_path / "copied"
    (tmp_path / "certificate.pem").write_text(certificate(server))
    (tmp_path / "muttrc").write_text(
        f'set imap_user="{account}@a.test"\nset imap_pass="{PASSWORD}"\nset ssl_starttls=yes\nset ssl_force_tls=yes\n'
        f'set certificate_file="{tmp_path}/certificate.pem"\nset ssl_usesystemcerts=no\nset ssl_verify_host=no\n'
        f'set folder="{tmp_path}"\nset mbox_type=mbox\nset confirmappend=no\nset confirmcreate=no\nset auto_tag=yes\n'
        "set quit=yes\nset wait_key=no\nset imap_idle=yes\nset imap_deflate=yes\n"
        f'push "<tag-pattern>~A<enter><copy-message><kill-line>{target}<enter><quit>"\n'
    )
    url = f"imaps://localhost:{server.ports['imaps']}" if tls == "imaps" else f"imap://localhost:{server.ports['imap']}"
    run("script", "-qec", f"TERM=xterm mutt -n -R -F {tmp_path}/muttrc -f {url}/INBOX", "/dev/null", home=tmp_path)
    assert target.read_text().count("Subject: mail ") == 3


@pytest.mark.parametrize(("tls", "door"), [("ssl", "imaps"), ("starttls", "imap")])
def test_curl_over_tls(server: Server, account: str, tls: str, door: str) -> None:
    fill(server, account, 2)
    scheme = "imaps" if tls == "ssl" else "imap"
    url = f"{scheme}://127.0.0.1:{server.ports[door]}/INBOX"
    login = ("-sS", "-k", "--ssl-reqd", "--user", f"{account}@a.test:{PASSWORD}")
    assert "Subject: mail 1" in run("curl", *login, f"{url};UID=2").stdout
    assert "* SEARCH 2" in run("curl", *login, f"{url}?SUBJECT%20%22mail%201%22").stdout
    assert "body 0" in run("curl", *login, f"{url};UID=1;SECTION=TEXT").stdout
