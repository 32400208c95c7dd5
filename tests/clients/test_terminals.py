"""Programs that live in a terminal, driven by what they show: make test-clients."""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.test_clients import fill, subjects
from tests.support.server import PASSWORD, Server

pytestmark = pytest.mark.clients
SECONDS = 30.0
_ESCAPE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>])")


class Terminal:
    """A program and its screen, as the octets that came, without their colours and places."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.shown = b""

    def until(self, *wanted: str) -> None:
        """Read until all of it was shown."""
        end = time.monotonic() + SECONDS
        while not all(one.encode() in _ESCAPE.sub(b"", self.shown) for one in wanted):
            ready, _, _ = select.select([self.descriptor], [], [], max(0.0, end - time.monotonic()))
            assert ready, (wanted, _ESCAPE.sub(b"", self.shown)[-2000:])
            self.shown += os.read(self.descriptor, 65536)

    def type(self, keys: str) -> None:
        self.shown = b""
        os.write(self.descriptor, keys.encode())


@contextmanager
def terminal(program: str, *arguments: str, home: Path) -> Iterator[Terminal]:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (make test-clients installs it)")
    child, descriptor = pty.fork()
    if child == 0:
        environment = {**os.environ, "HOME": str(home), "TERM": "xterm", "XDG_CONFIG_HOME": str(home / ".config")}
        os.execvpe(program, [program, *arguments], environment)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    try:
        yield Terminal(descriptor)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(descriptor)


def neomuttrc(folder: Path, server: Server, account: str) -> Path:
    rc = folder / "neomuttrc"
    rc.write_text(
        f'set imap_user="{account}@a.test"\nset imap_pass="{PASSWORD}"\nset ssl_starttls=no\nset ssl_force_tls=no\n'
        f'set folder="imap://127.0.0.1:{server.ports["imap"]}"\nset header_cache="{folder}/cache"\n'
        "set imap_condstore=yes\nset imap_qresync=yes\nset imap_idle=yes\n"
        "set quit=yes\nset delete=yes\nset wait_key=no\nset confirmcreate=no\nset confirmappend=no\nset mark_old=no\n"
        "set check_new=yes\nset timeout=1\nset mail_check=1\n"
    )
    return rc


def test_neomutt_comes_back_by_qresync(server: Server, account: str, tmp_path: Path) -> None:
    """It keeps headers; meanwhile another program removes a message, and a new one comes."""
    fill(server, account, 4)
    log = ("-d", "2", "-l", str(tmp_path / "log"))
    start = (
        *log,
        "-n",
        "-F",
        str(neomuttrc(tmp_path, server, account)),
        "-f",
        f"imap://127.0.0.1:{server.ports['imap']}/INBOX",
    )
    with terminal("neomutt", *start, home=tmp_path) as one:
        one.until("mail 0", "mail 3")
        one.type("q")
        with pytest.raises(OSError):  # the program ended
            one.until("never shown")
    other = server.imap(account)
    other.select("INBOX")
    other.uid("STORE", "2", "+FLAGS", "(\\Deleted)")
    other.uid("EXPUNGE", "2")
    other.append("INBOX", None, None, b"From: a@far.test\r\nSubject: mail new\r\n\r\nx\r\n")
    with terminal("neomutt", *start, home=tmp_path) as one:
        one.until("mail 0", "mail 2", "mail new")
        assert b"mail 1" not in one.shown
        # While it waits, another one goes.
        other.uid("STORE", "1", "+FLAGS", "(\\Deleted)")
        other.uid("EXPUNGE", "1")
        one.type("d$")
        one.type("q")
        with pytest.raises(OSError):
            one.until("never shown")
    other.logout()
    said = "".join(path.read_text(errors="replace") for path in tmp_path.glob("log*"))
    assert "ENABLE QRESYNC" in said
    assert " VANISHED)" in said
    assert subjects(server, account)[-1] == "mail new"
    assert "mail 1" not in subjects(server, account)


def test_aerc_reads_and_archives(server: Server, account: str, tmp_path: Path) -> None:
    fill(server, account, 3)
    folder = tmp_path / ".config" / "aerc"
    folder.mkdir(parents=True)
    user = f"{account}%40a.test:{PASSWORD.replace(' ', '%20')}"
    (folder / "accounts.conf").write_text(
        f"[one]\nsource = imap+insecure://{user}@127.0.0.1:{server.ports['imap']}\ndefault = INBOX\nfrom = x <x@a.test>\n"
        "cache-headers = true\n"
    )
    (folder / "accounts.conf").chmod(0o600)
    with terminal("aerc", home=tmp_path) as one:
        one.until("mail 0", "mail 1", "mail 2")
        one.type(":move Archive\r")
        one.until("Archive")
        one.type(":cf Archive\r")
        one.until("mail")
        one.type(":quit\r")
        with pytest.raises(OSError):
            one.until("never shown")
    assert len(subjects(server, account)) == 2
    assert len(subjects(server, account, "Archive")) == 1


def test_alpine_reads_saves_and_expunges(server: Server, account: str, tmp_path: Path) -> None:
    fill(server, account, 3)
    where = f"{{127.0.0.1:{server.ports['imap']}/notls/user={account}@a.test}}"
    (tmp_path / ".pinerc").write_text(
        f"personal-name=x\nuser-domain=a.test\ninbox-path={where}INBOX\nfolder-collections=Mail {where}[]\n"
        'feature-list=expunge-without-confirm,quit-without-confirm,no-enable-newmail-sound\ndefault-fcc=""\n'
        "last-version-used=99.99\ninitial-keystroke-list=i\n"
    )
    with terminal("alpine", "-p", str(tmp_path / ".pinerc"), home=tmp_path) as one:
        one.until("PASSWORD")
        one.type(f"{PASSWORD}\r")
        one.until("[Yes]")  # Keep the password?
        one.type("n")
        one.until("mail 0", "mail 1", "mail 2")
        one.type("\r")
        one.until("body")
        one.type("sArchive\r")
        # What was typed ahead is not always shown: the server is asked whether it is there.
        end = time.monotonic() + SECONDS
        while not subjects(server, account, "Archive"):
            assert time.monotonic() < end, one.shown
            time.sleep(0.1)
        one.type("<")
        one.until("mail 1")
        one.type("x")
        one.until("xpunge")
        one.type("q")
        with pytest.raises(OSError):
            one.until("never shown")
    assert len(subjects(server, account)) == 2
    assert len(subjects(server, account, "Archive")) == 1
