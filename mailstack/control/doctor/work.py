"""The work under way: what waits, what was backed up, when the server proved itself, whether addresses can be believed."""

from typing import Any

from mailstack.control.doctor.finding import Finding, Patient

OLD_MAIL = 4 * 3600.0  # seconds
OLD_BACKUP, VERY_OLD_BACKUP = 2 * 86400.0, 8 * 86400.0
OLD_SELFTEST = 2 * 86400.0


async def queue(patient: Patient) -> list[Finding]:
    return [judge_queue(await patient.ask("queue.list") or [], patient.now)]


def judge_queue(rows: list[dict[str, Any]], now: float) -> Finding:
    if not rows:
        return Finding("queue", "ok", "nothing waits")
    held = sum(1 for row in rows if row["held"])
    oldest = now - min(row["received"] for row in rows)
    text = f"{len(rows)} messages wait, {held} of them held; the oldest since {_hours(oldest)}"
    if oldest < OLD_MAIL and not held:
        return Finding("queue", "ok", text)
    return Finding("queue", "warn", text, "their receivers don't have them", "mailstack queue list, mailstack queue retry")


async def backups(patient: Patient) -> list[Finding]:
    if not patient.config.data.exists():
        return []
    state = await patient.ask("backup.last")
    return [] if state is None else [judge_backup(state, patient.now, configured=bool(patient.config.backup.dir))]


def judge_backup(state: dict[str, Any], now: float, *, configured: bool) -> Finding:
    last, proven = state["last"], state["proven"]
    fix = "mailstack backup, and see what it says" if configured else "mailstack backup DIR; daily: backup.dir"
    effect = "what the disk loses, is lost"
    if proven is None and last is None:
        return Finding("backup", "warn", "there was none", effect, fix)
    if last is not None and last["problems"]:
        return Finding("backup", "bad", f"the last one did not go well: {last['problems'][0]}", effect, fix)
    if proven is None:
        return Finding("backup", "warn", "none was proven by restoring it", effect, fix)
    age = now - proven["proven"]
    text = f"the last one was proven {_hours(age)} ago"
    if age < OLD_BACKUP:
        return Finding("backup", "ok", text)
    effect = "what came since then is on this disk alone"
    return Finding("backup", "warn" if age < VERY_OLD_BACKUP else "bad", text, effect, fix)


async def selftest(patient: Patient) -> list[Finding]:
    """What the running server keeps of its own test, if it makes one."""
    state = await patient.ask("selftest.last") if patient.running else None
    return [] if not state else [judge_selftest(state, patient.now)]


def judge_selftest(state: dict[str, Any], now: float) -> Finding:
    """`state`: when ("time"), and at which step it failed ("problem", None where it went well)."""
    age = now - float(state["time"])
    if state.get("problem"):
        text = f"it failed {_hours(age)} ago: {state['problem']}"
        return Finding("self-test", "bad", text, "mail may not get through here", "mailstack selftest")
    if age > OLD_SELFTEST:
        return Finding(
            "self-test", "warn", f"the last one was {_hours(age)} ago", "nobody has looked since", "mailstack selftest"
        )
    return Finding("self-test", "ok", f"went well {_hours(age)} ago")


async def nat(patient: Patient) -> list[Finding]:
    effect = "nothing is judged by this address: SPF, block lists, bans"
    fix = 'network_mode: host, or "userland-proxy": false for Docker, or PROXY protocol: docs/operations.md, Behind NAT'
    return [Finding("NAT", "warn", row["text"], effect, fix) for row in await patient.ask("nat") or ()]


def _hours(seconds: float) -> str:
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            number = int(seconds // unit)
            return f"{number} {name}" if number == 1 else f"{number} {name}s"
    return "moments"
