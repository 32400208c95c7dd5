"""What the machine gives: memory, file descriptors, the time."""

import asyncio
import datetime
import email.utils
import resource
import time
from pathlib import Path

from mailstack.control.doctor.finding import Finding, Patient
from mailstack.net.http import Asking, HttpProblem, ask
from mailstack.net.tls import client_context

MEMORY_WANTED = 128 << 20  # octets that can be had
FILES_SPARE = 1024  # for indexes, the queue and connections to others
CLOCK_WANTED = 60.0  # seconds
FIRST_YEAR = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC).timestamp()
LAST_YEAR = 4_000_000_000.0


async def machine(patient: Patient) -> list[Finding]:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = [
        judge_files(limit, patient.config.limits.connections),
        judge_clock(patient.now, await asyncio.to_thread(_hardware_clock)),
    ]
    memory = await asyncio.to_thread(_memory)
    if memory is not None:
        found.append(judge_memory(*memory))
    if patient.outside:
        found.append(await _other_clock(patient))
    return found


def judge_files(limit: int, connections: int) -> Finding:
    text = f"{limit} file descriptors; limits.connections is {connections}"
    if limit >= connections + FILES_SPARE:
        return Finding("file descriptors", "ok", text)
    effect = "before all connections are taken that may be, there are no descriptors left, and the rest is refused"
    fix = f"LimitNOFILE={connections + FILES_SPARE} in the service (systemctl edit mailstack), or a lower limits.connections"
    return Finding("file descriptors", "warn", text, effect, fix)


def _memory() -> tuple[int, int] | None:
    """What can be had and what there is, of the machine or of the container."""
    try:
        rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        available, total = (int(rows[key].split()[0]) << 10 for key in ("MemAvailable", "MemTotal"))
    except (OSError, KeyError, ValueError):
        return None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return available, total
    return min(available, limit - used), min(total, limit)


def judge_memory(available: int, total: int) -> Finding:
    text = f"{available >> 20} of {total >> 20} MiB can be had"
    if available > MEMORY_WANTED:
        return Finding("memory", "ok", text)
    effect = "the system may end the server when it needs more"
    return Finding("memory", "warn", text, effect, "stop other programs, add memory or swap; search.index = false needs less")


def _hardware_clock() -> float | None:
    try:
        return float(Path("/sys/class/rtc/rtc0/since_epoch").read_text())
    except (OSError, ValueError):
        return None


def judge_clock(now: float, other: float | None) -> Finding:
    """`other`: what another clock says; that of the hardware may be in local time, a whole number of quarter hours away."""
    text = datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="seconds")
    effect = "signatures, certificates and one-time codes are judged by it, and mails are put in order"
    fix = "timedatectl set-ntp true"
    if not FIRST_YEAR < now < LAST_YEAR:
        return Finding("clock", "bad", text, effect, fix)
    if other is not None:
        away = abs(now - other) % 900
        if min(away, 900 - away) > CLOCK_WANTED:
            return Finding("clock", "warn", f"{text}, and the hardware's clock differs", effect, fix)
    return Finding("clock", "ok", text)


async def _other_clock(patient: Patient) -> Finding:
    """The Date of a web server that many trust: that of the authority for certificates."""
    url = patient.config.acme.directory
    before = time.time()
    try:
        answer = await ask(url, client_context(verify=True), Asking())
        date = email.utils.parsedate_to_datetime(answer.date).timestamp()
    except (HttpProblem, ValueError) as problem:
        return Finding("clock of others", "info", f"{url} tells no time: {problem}")
    away = date - (before + time.time()) / 2
    return judge_difference(url, away)


def judge_difference(url: str, away: float) -> Finding:
    text = f"{url} is {abs(away):.0f} s {'ahead' if away > 0 else 'behind'}"
    if abs(away) < CLOCK_WANTED:
        return Finding("clock of others", "ok", text)
    return Finding(
        "clock of others", "bad", text, "logins by one-time codes fail, signatures look expired", "timedatectl set-ntp true"
    )
