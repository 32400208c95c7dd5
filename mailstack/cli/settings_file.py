"""Writing the settings' file, and letting the server read it."""

import os
import signal
from pathlib import Path
from typing import Any

from mailstack.cli.invocation import Invocation, fail
from mailstack.config.editing import EditProblem, edited


def put(path: Path, text: str, *, like: Path) -> None:
    """Whole or not at all, with the owner and the rights of another file. Raises OSError."""
    status = like.stat()
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, status.st_mode & 0o777)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    if os.geteuid() == 0:
        os.chown(beside, status.st_uid, status.st_gid)
    os.replace(beside, path)


def change(one: Invocation, values: dict[str, Any]) -> Path:
    """Put these settings into the file, and let a running server take them. The file; ends where that can't be done."""
    path = Path(str(one.config_path()))
    try:
        put(path, edited(path.read_text(encoding="utf-8"), values), like=path)
    except (OSError, EditProblem) as problem:
        fail(f"{path}: {problem}", 2)
    if one.running():
        os.kill(one.run("server")["pid"], signal.SIGHUP)
    return path
