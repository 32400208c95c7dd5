"""Text of attachments, by a program of the admin's: it reads what strangers send, so nothing it does goes beyond its bounds."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import tempfile

from mailstack.message.text import TEXT_LIMIT, Attachments
from mailstack.store.fulltext import questions

OUTPUT_LIMIT = 4 * TEXT_LIMIT  # octets that it may write to any file


def reader(settings: questions.Attachments) -> Attachments:
    """What `read_message` asks: the program gets the attachment on its input, and its type and name as arguments."""

    def text(kind: str, name: str, body: bytes) -> str | None:
        if not body or len(body) > settings.size:
            return None
        command = [*settings.command, kind, name.replace("\0", "")]
        try:
            with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as written:
                given.write(body)
                given.seek(0)
                if not _run(command, given.fileno(), written.fileno(), settings.seconds):
                    return None
                written.seek(0)
                return written.read(TEXT_LIMIT).decode("utf-8", "replace")
        except (OSError, ValueError):
            return None

    return text


def _run(command: list[str], given: int, written: int, seconds: float) -> bool:
    """Whether it did what it should. When its time is over it is ended, with all that it started."""
    process = subprocess.Popen(  # noqa: S603 - what the admin configured
        command, stdin=given, stdout=written, stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=_bounds
    )
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _bounds() -> None:
    """In the new process."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT_LIMIT, OUTPUT_LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
