"""What mail programs make of a mailbox that another account shares."""

import shutil
from pathlib import Path

import pytest

from tests.clients.test_clients import fill, run, subjects
from tests.conftest import unused
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients


def share(server: Server, owner: str, friend: str, rights: str) -> None:
    with Client(server.ports["imap"]) as one:
        one.login(f"{owner}@a.test", PASSWORD)
        one.ok(f"SETACL INBOX {friend}@a.test {rights}")


@pytest.mark.parametrize("program", ["mutt", "neomutt"])
@pytest.mark.parametrize(("rights", "left"), [("lr", 3), ("lrwte", 2)])
def test_mutt_reads_and_deletes_what_it_may(
    server: Server, account: str, tmp_path: Path, program: str, rights: str, left: int
) -> None:
    """It asks MYRIGHTS where ACL is announced, and keeps to the answer."""
    for needed in ("script", program):
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    friend = unused(server)
    fill(server, account, 3)
    share(server, account, friend, rights)
    target = tmp_path / "copied"
    delete = "<untag-pattern>~A<enter><first-entry><delete-message>" if left < 3 else ""
    (tmp_path / "muttrc").write_text(
        f'set imap_user="{friend}@a.test"\nset imap_pass="{PASSWORD}"\nset ssl_starttls=no\nset ssl_force_tls=no\n'
        f'set folder="{tmp_path}"\nset mbox_type=mbox\nset confirmappend=no\nset confirmcreate=no\nset auto_tag=yes\n'
        "set quit=yes\nset delete=yes\nset wait_key=no\nset mark_old=no\n"
        f'push "<tag-pattern>~A<enter><copy-message><kill-line>{target}<enter>{delete}<quit>"\n'
    )
    source = f"imap://127.0.0.1:{server.ports['imap']}/Shared/{account}%40a.test/INBOX"
    run("script", "-qec", f"TERM=xterm {program} -n -F {tmp_path}/muttrc -f {source}", "/dev/null", home=tmp_path)
    assert target.read_text().count("Subject: mail ") == 3
    assert len(subjects(server, account)) == left


def test_mbsync_fetches_what_is_shared(server: Server, account: str, tmp_path: Path) -> None:
    friend = unused(server)
    fill(server, account, 4)
    share(server, account, friend, "lr")
    (tmp_path / "mail").mkdir()
    (tmp_path / "mbsyncrc").write_text(
        f"""
IMAPAccount one
Host 127.0.0.1
Port {server.ports["imap"]}
User {friend}@a.test
Pass "{PASSWORD}"
SSLType None
AuthMechs LOGIN

IMAPStore far
Account one

MaildirStore near
Path {tmp_path}/mail/
SubFolders Verbatim

Channel shared
Far :far:
Near :near:
Patterns "Shared/{account}@a.test/INBOX"
Create Near
Sync Pull
SyncState *
"""
    )
    for _ in range(2):
        run("mbsync", "-c", str(tmp_path / "mbsyncrc"), "shared")
        mails = [path for path in (tmp_path / "mail").rglob("*") if path.is_file() and path.parent.name in ("new", "cur")]
        assert len(mails) == 4
