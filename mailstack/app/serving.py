"""The process: its event loop, its signals, its memory."""

import asyncio
import ctypes
import gc
import os
import resource
import signal
import socket
import sys

import uvloop

from mailstack import __version__
from mailstack.app.appliance import Appliance
from mailstack.app.surroundings import StartProblem, Surroundings
from mailstack.config import Config
from mailstack.log import configure, get_logger
from mailstack.store.errors import StoreProblem

RESTART_SIGNAL = signal.SIGUSR1  # stop, and start again with what the settings' file says then
STOPS = (signal.SIGTERM, signal.SIGINT, RESTART_SIGNAL)
RESTART = 75  # EX_TEMPFAIL (sysexits.h): a service manager that restarts failures starts it again
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h

log = get_logger()


def _notify(state: str) -> None:
    """Tell systemd (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.connect("\0" + address[1:] if address.startswith("@") else address)
            one.sendall(state.encode())
    except OSError as problem:
        log.warning("notify.failed", state=state, problem=str(problem))


async def _serve(config: Config, path: str | None, surroundings: Surroundings | None) -> signal.Signals:
    """The signal that ended it."""
    appliance = Appliance(config, surroundings, path)
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[signal.Signals] = asyncio.Queue()
    for number in (signal.SIGHUP, *STOPS):
        loop.add_signal_handler(number, signals.put_nowait, number)
    await appliance.start()
    # What the start made stays: the collector need not look at it again and again while connections wait.
    gc.collect()
    gc.freeze()
    _notify("READY=1")
    log.info(
        "ready",
        version=__version__,
        hostname=config.hostname,
        ports=appliance.ports,
        queued=len(appliance.data.queue.messages),
    )
    while (received := await signals.get()) is signal.SIGHUP:
        await appliance.reload(path)
    _notify("RELOADING=1" if received is RESTART_SIGNAL else "STOPPING=1")
    await appliance.stop()
    # Ctrl-C reaches this process twice where another one passes it on (`mailstack demo`): the end has its own exit code.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    log.info("stopped", again=received is RESTART_SIGNAL)
    return received


def _give_memory_back() -> None:
    """Let the C library return what is freed, instead of keeping it for every thread.

    glibc raises its threshold for mapped memory to the largest block that was ever freed: the 19 MiB of one password's proof
    would stay for good, once for each thread. Other C libraries have no such call, and no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((_M_MMAP_THRESHOLD, 4 << 20), (_M_TRIM_THRESHOLD, 32 << 20), (_M_ARENA_MAX, 1)):
            mallopt(option, value)


def serve(config: Config, path: str | None = None, surroundings: Surroundings | None = None) -> int:
    """Run in the foreground until SIGTERM. The exit code: 0, 2 when it can't start, RESTART when it is to start again."""
    configure(config.log.format, config.log.level)
    # With the default of 5 ms one busy thread would make the event loop wait that long, again and again.
    sys.setswitchinterval(0.0005)
    _give_memory_back()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 1 << 20)), hard))
    try:
        received = uvloop.run(_serve(config, path, surroundings))
    except (StartProblem, StoreProblem) as problem:
        key = "data_dir: " if isinstance(problem, StoreProblem) else ""
        print(f"mailstack: {path or 'environment'}: {key}{problem}", file=sys.stderr)
        return 2
    return RESTART if received is RESTART_SIGNAL else 0
