"""sieve-connect (Debian), a ManageSieve client of others: make test-clients."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.server import PASSWORD, Server

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("sieve-connect") is None, reason="sieve-connect is not installed (make test-clients does)"),
]
SCRIPT = 'require ["fileinto"];\nif header :contains "subject" "list" { fileinto "Junk"; }\n'


def test_a_script_goes_up_and_comes_down(server: Server, account: str, tmp_path: Path) -> None:
    def connect(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[bytes]":
        (tmp_path / "password").write_text(PASSWORD + "\n")
        with open(tmp_path / "password", "rb") as password:
            command = [
                "sieve-connect", "--server", "127.0.0.1", "--port", str(server.ports["managesieve"]), "--user",
                f"{account}@a.test", "--notlsverify", "--authmech", "PLAIN", "--passwordfd", "0", *arguments,
            ]  # fmt: skip
            done = subprocess.run(command, stdin=password, capture_output=True, timeout=60)
        if check:
            assert done.returncode == 0, done
        return done

    script = tmp_path / "main.sieve"
    script.write_text(SCRIPT)
    connect("--localsieve", str(script), "--remotesieve", "main", "--upload")
    connect("--remotesieve", "main", "--activate")
    assert b"main" in connect("--list").stdout
    down = tmp_path / "down.sieve"
    connect("--localsieve", str(down), "--remotesieve", "main", "--download")
    assert down.read_text() == SCRIPT
    assert server.run("sieve", "list", f"{account}@a.test").stdout.split() == ["NAME", "ACTIVE", "main", "yes"]
    script.write_text("nonsense")
    assert connect("--localsieve", str(script), "--remotesieve", "bad", "--upload", check=False).returncode != 0
    connect("--deactivate")
    connect("--remotesieve", "main", "--delete")
    assert b"main" not in connect("--list").stdout
