"""Dovecot's IMAP on a Maildir, without a server: Debian's dovecot-imapd as another opinion on the same mails."""

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import IO

import pytest

from tests.support.imap import Client

NOBODY = 65534

CONFIGURATION = """
mail_location = maildir:{folder}/Maildir
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
first_valid_gid = 1
log_path = {folder}/log
base_dir = {folder}/run
state_dir = {folder}/state
protocols = imap
namespace inbox {{
  inbox = yes
  separator = /
}}
"""


class Dovecot:
    """`folder` holds a Maildir; it belongs to this user, or to nobody where the tests run as root (Dovecot refuses root)."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("doveadm") is None:
            pytest.skip("dovecot-imapd is not installed (make test-clients installs it)")
        root = os.getuid() == 0
        uid, gid = (NOBODY, NOBODY) if root else (os.getuid(), os.getgid())
        configuration = folder / "dovecot.conf"
        configuration.write_text(CONFIGURATION.format(folder=folder, uid=uid, gid=gid))
        if root:
            subprocess.run(["chown", "-R", f"{uid}:{gid}", str(folder)], check=True)
            for parent in folder.parents:  # the folders of tests are for their user alone
                if parent.stat().st_uid == 0 and parent.stat().st_mode & 0o077 == 0:
                    parent.chmod(0o711)
        self.process = subprocess.Popen(
            ["doveadm", "-c", str(configuration), "exec", "imap"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "USER": "nobody", "HOME": str(folder)},
        )
        self.ours, self.theirs = socket.socketpair()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.threads = [
            threading.Thread(target=self._in, args=(self.process.stdin,)),
            threading.Thread(target=self._out, args=(self.process.stdout,)),
        ]
        for thread in self.threads:
            thread.start()
        self.client = Client(self.ours)

    def _in(self, pipe: IO[bytes]) -> None:
        while data := self.theirs.recv(65536):
            pipe.write(data)
            pipe.flush()
        pipe.close()

    def _out(self, pipe: IO[bytes]) -> None:
        while data := os.read(pipe.fileno(), 65536):
            self.theirs.sendall(data)
        pipe.close()

    def __enter__(self) -> Client:
        return self.client

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.ours.shutdown(socket.SHUT_WR)
        for thread in self.threads:
            thread.join()
        self.process.wait(10)
        self.ours.close()
        self.theirs.close()
