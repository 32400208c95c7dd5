"""A power cut under load: ext4 on a loop device is shut down without flushing its log (EXT4_IOC_SHUTDOWN), then mounted again.

The control lies about fsync by a preloaded library and must lose mail; otherwise this test would prove nothing.
"""

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tests.support.load import USERS, Ledger, Load, verify
from tests.support.server import Server
from tests.support.sink import CountingSink

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
LIAR = """
#include <stddef.h>
int fsync(int f) { (void)f; return 0; }
int fdatasync(int f) { (void)f; return 0; }
void sync(void) {}
int syncfs(int f) { (void)f; return 0; }
int sync_file_range(int f, long long o, long long n, unsigned g) { (void)f; (void)o; (void)n; (void)g; return 0; }
"""
NEEDED = ("mkfs.ext4", "losetup", "mount", "umount", "gcc")
missing = [name for name in NEEDED if not shutil.which(name)]
pytestmark = [
    pytest.mark.crash,
    pytest.mark.powercut,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root"),
    pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}"),
]
ROUNDS = int(os.environ.get("MAILSTACK_POWER_CUTS", "3"))


class Disc:
    """An ext4 file system in a file whose power can be cut."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "disc.img"
        self.mount_point = folder / "disc"
        self.mount_point.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(400 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True)

    def mount(self) -> None:
        subprocess.run(["mount", "-o", "loop,commit=60", str(self.image), str(self.mount_point)], check=True)

    def cut(self) -> None:
        descriptor = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)

    def unmount(self) -> None:
        subprocess.run(["umount", str(self.mount_point)], check=True)


def cut_and_verify(tmp_path: Path, rounds: int, environment: dict[str, str] | None = None) -> Ledger:
    """Cut the power `rounds` times under load: mail in and out, changes of all kinds, users. What had been acknowledged."""
    disc = Disc(tmp_path)
    disc.mount()
    ledger = Ledger()
    with CountingSink() as sink:
        server = Server(
            tmp_path, disc.mount_point / "data", environment=environment, users=USERS, smarthost=sink.port, forked=False
        )
        try:
            server.provision()
            subprocess.run(["sync", "-f", str(disc.mount_point)], check=True)
            for number in range(rounds):
                server.start()
                with Load(server, ledger, number, relay=True, users=True) as load:
                    load.stop.wait(4.0)
                    with ledger.lock:
                        disc.cut()
                    server.kill()
                disc.unmount()
                disc.mount()
                server.start()
                verify(server, ledger)
                server.stop()
            server.start()
            missing = ledger.relayed - sink.wait_for(ledger.relayed, 60.0)
            assert not missing, f"accepted for far away and lost: {sorted(missing)[:10]}"
        finally:
            server.kill()
            disc.unmount()
    return ledger


def test_what_was_acknowledged_survives_power_cuts(tmp_path: Path) -> None:
    ledger = cut_and_verify(tmp_path, ROUNDS)
    assert ledger.acknowledged > 10 * ROUNDS
    assert all((ledger.groups, ledger.trees, ledger.flags, ledger.passwords, ledger.relayed))
    print(f"{ROUNDS} power cuts, {ledger.acknowledged} acknowledged, {len(ledger.relayed)} relayed")


def test_control_with_a_lying_fsync_loses_mail(tmp_path: Path) -> None:
    source = tmp_path / "liar.c"
    source.write_text(LIAR)
    library = tmp_path / "liar.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    with pytest.raises((AssertionError, RuntimeError, TimeoutError, OSError, subprocess.CalledProcessError)) as problem:
        cut_and_verify(tmp_path, 1, {"LD_PRELOAD": str(library)})
    print(f"the control failed as it must: {str(problem.value)[:100]}")
