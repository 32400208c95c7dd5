"""A process that has loaded mailstack already and makes copies of itself, in a tenth of the time that a start takes.

A copy does what `python -m mailstack ARGUMENTS` does once all is loaded. Tests of the start itself start the real thing.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).parents[2]
ARGUMENTS = 1 << 18


# The tests' side ----------------------------------------------------------------------------------------------------


class Forked:
    """What subprocess.Popen is for a process of one's own; as much of it as the tests use."""

    def __init__(self, pid: int, ended: int, command: list[str]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = ended
        self._command = command

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self._command, timeout or 0)
            status = os.read(self._ended, 16)
            os.close(self._ended)
            self.returncode = int(status) if status else -signal.SIGKILL
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Zygote:
    """One a test process; it ends with it."""

    def __init__(self) -> None:
        self._ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._turn = threading.Lock()
        with its:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-m", "tests.support.zygote", str(its.fileno())]
            subprocess.Popen(command, env=environment, cwd=ROOT, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL)

    def start(self, arguments: list[str], environment: dict[str, str], files: tuple[int, int, int]) -> Forked:
        """`files` become standard input, output and error."""
        ended, tell = os.pipe()
        asked = json.dumps([arguments, environment, os.getcwd()]).encode()
        with self._turn:
            socket.send_fds(self._ours, [asked], [*files, tell])
            os.close(tell)
            return Forked(int(self._ours.recv(32)), ended, arguments)


# The zygote's side --------------------------------------------------------------------------------------------------


def _load() -> None:
    import mailstack

    for module in pkgutil.walk_packages(mailstack.__path__, "mailstack."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def _serve(ours: socket.socket) -> list[str]:
    """Returns in each copy, with its arguments."""
    waiting: dict[int, int] = {}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([ours, reader], [], [])
        if reader in ready:
            os.read(reader, 4096)
            _reap(waiting)
        if ours not in ready:
            continue
        asked, files, _, _ = socket.recv_fds(ours, ARGUMENTS, 4)
        if not asked:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            ours.close()
            for descriptor in (reader, writer, *waiting.values()):
                os.close(descriptor)
            return _become(json.loads(asked), files)
        waiting[pid] = files[3]
        for descriptor in files[:3]:
            os.close(descriptor)
        ours.send(str(pid).encode())


def _reap(waiting: dict[int, int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = found
            with contextlib.suppress(BrokenPipeError):
                os.write(waiting[pid], str(os.waitstatus_to_exitcode(status)).encode())
            os.close(waiting.pop(pid))


def _become(asked: tuple[list[str], dict[str, str], str], files: list[int]) -> list[str]:
    arguments, environment, folder = asked
    for number, descriptor in enumerate(files[:3]):
        os.dup2(descriptor, number)
    for descriptor in files:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    return arguments


if __name__ == "__main__":
    _load()
    with socket.socket(fileno=int(sys.argv[1])) as given:
        sys.argv = [str(ROOT / "mailstack" / "__main__.py"), *_serve(given)]
    __package__ = "mailstack"  # what the program calls itself
    from mailstack.cli.main import main

    main()
