"""The first start of a container that is to be a real server: what quickstart asks for comes from the environment."""

import os
import subprocess
import sys
from pathlib import Path

import typer

ACCOUNT = "MAILSTACK_FIRST_ACCOUNT"
PASSWORD_FILE = "MAILSTACK_FIRST_PASSWORD_FILE"  # noqa: S105 - a variable's name
HOSTNAME = "MAILSTACK_HOSTNAME"


def first_start(folder: Path) -> bool:
    """Whether the environment named a first account: it and a configuration in `folder` were made. Ends where that failed."""
    address = os.environ.get(ACCOUNT)
    if not address:
        return False
    command = [sys.executable, "-m", "mailstack", "quickstart", address, "--dir", str(folder), "--data", str(folder)]
    for option, name in (("--hostname", HOSTNAME), ("--password-file", PASSWORD_FILE)):
        if os.environ.get(name):
            command += [option, os.environ[name]]
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - this program itself
    if code:
        raise typer.Exit(code)
    return True
