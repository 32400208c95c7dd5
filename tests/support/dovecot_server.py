"""A whole Dovecot with logins and TLS, as root only: what people come from, and what they may go back to."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType

import pytest

from tests.support.dovecot import NOBODY
from tests.support.server import PASSWORD, free_ports

CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/cert.pem
ssl_key = <{folder}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:~/Maildir{layout}
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/passwd
}}
userdb {{
  driver = static
  args = uid={nobody} gid={nobody} home={folder}/%n
}}
namespace inbox {{
  inbox = yes
  separator = {separator}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
"""


class DovecotServer:
    """Accounts are folders of `folder` with a Maildir in each, that belong to nobody."""

    def __init__(self, folder: Path, *, separator: str = "/", layout: str = "") -> None:
        if shutil.which("dovecot") is None:
            pytest.skip("dovecot-imapd is not installed (make test-clients installs it)")
        if os.getuid() != 0:
            pytest.skip("a Dovecot with logins needs root")
        self.folder = folder
        self.imap, self.imaps = free_ports(2)
        self.configuration = folder / "dovecot-server.conf"
        self.configuration.write_text(
            CONFIGURATION.format(
                folder=folder, nobody=NOBODY, separator=separator, layout=layout, imap=self.imap, imaps=self.imaps
            )
        )  # fmt: skip

    def own(self) -> None:
        """All mail is nobody's; each folder is an account."""
        users = [entry.name for entry in self.folder.iterdir() if (entry / "Maildir").is_dir()]
        (self.folder / "passwd").write_text("".join(f"{user}:{PASSWORD}\n" for user in users))
        (self.folder / "passwd").chmod(0o644)
        if users:
            places = [str(self.folder / user) for user in users]
            subprocess.run(["chown", "-hR", f"{NOBODY}:{NOBODY}", *places], check=True)

    def __enter__(self) -> "DovecotServer":
        self.own()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{self.folder}/key.pem",
             "-out", f"{self.folder}/cert.pem", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
            check=True, capture_output=True,
        )  # fmt: skip
        quiet = subprocess.DEVNULL  # not pipes: its processes would hold them
        subprocess.run(["dovecot", "-c", str(self.configuration)], check=True, stdout=quiet, stderr=quiet, umask=0o022)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        pid = int((self.folder / "run" / "master.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]:
            os.sched_yield()
