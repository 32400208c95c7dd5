"""Debian's Postfix as a host that takes mail: its own folder, its own port."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest

from tests.support.server import free_ports

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.b.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
virtual_mailbox_domains = b.test
virtual_mailbox_maps = static:all
virtual_transport = discard
smtpd_tls_security_level = may
smtpd_tls_chain_files = {folder}/chain.pem
smtpd_tls_loglevel = 1
smtpd_peername_lookup = no
"""
MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """`with`; `folder` must be one that all users can enter. `chain`: PEM of the key, its certificate and what is above."""

    def __init__(self, folder: Path, chain: bytes) -> None:
        if shutil.which("postfix") is None or os.geteuid() != 0:
            pytest.skip("needs root and Debian's postfix (make test-clients installs it)")
        self.folder = folder
        (self.port,) = free_ports(1)
        for name in ("queue", "data", "conf"):
            (folder / name).mkdir()
            (folder / name).chmod(0o755)
        shutil.chown(folder / "data", "postfix", "postfix")
        (folder / "chain.pem").write_bytes(chain)
        (folder / "chain.pem").chmod(0o600)
        (folder / "conf" / "main.cf").write_text(MAIN.format(folder=folder))
        (folder / "conf" / "master.cf").write_text(MASTER.format(port=self.port))

    def _command(self, *words: str) -> None:
        command = ["postfix", "-c", str(self.folder / "conf"), *words]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, umask=0o022)
        assert ended.returncode == 0, ended.stderr + self.log("", 0.0)

    def __enter__(self) -> "Postfix":
        self._command("start")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._command("stop")

    def log(self, words: str, seconds: float = 20.0) -> str:
        """The lines of the log, once one has these words."""
        end = time.monotonic() + seconds
        while True:
            text = (self.folder / "log").read_text() if (self.folder / "log").exists() else ""
            if words in text or time.monotonic() > end:
                return text
            time.sleep(0.05)
