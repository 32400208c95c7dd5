"""`mailstack check --bundle`: what goes into the support file, and where it is."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from mailstack.cli.invocation import Invocation, fail
from mailstack.control.doctor.bundle import LINES, members, packed

UNIT = "mailstack"


def write_bundle(one: Invocation, rows: list[dict[str, Any]], path: Path, log: str) -> None:
    """Shows what it holds: whoever sends it shall have seen it."""
    there = one.config().data.exists()
    accounts = [row["address"] for row in one.run("user.list")] if there else []
    aliases = [row["source"] for row in one.run("alias.list")] if there else []
    counts = {
        "domains": len(one.run("domain.list")) if there else 0,
        "accounts": len(accounts),
        "aliases": len(aliases),
        "queued": len(one.run("queue.list")) if there else 0,
    }
    people = [address.rpartition("@")[0] for address in (*accounts, *aliases)]
    files = members(one.config(), rows, counts, _log(log), people)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(packed(files))
    except OSError as problem:
        fail(f"{path}: {problem.strerror}", 2)
    print(f"{path} holds, with other names for people, hosts and addresses:")
    for name, text in files.items():
        print(f"  {name:<14} {len(text.splitlines()):>5} lines")
    print(f"Look before you send it: tar -xOzf {path} | less")


def _log(path: str) -> list[str]:
    """The end of a file, or of the service's journal, where that can be read."""
    if path:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read().splitlines()[-LINES:]
        except OSError as problem:
            fail(f"{path}: {problem.strerror}", 2)
    journal = shutil.which("journalctl")
    if journal is None:
        return []
    command = [journal, "-u", UNIT, "-n", str(LINES), "-o", "cat", "--no-pager"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30, check=False)  # noqa: S603
    return done.stdout.splitlines() if done.returncode == 0 else []
