"""What is shipped around the program agrees with it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mailstack.cli.demo import ORDINARY_PORTS

ROOT = Path(__file__).parents[1]


def read(path: str) -> str:
    return (ROOT / path).read_text()


def test_compose_publishes_every_port_and_keeps_the_data() -> None:
    text = read("compose.yaml")
    assert sorted(map(int, re.findall(r'- "(\d+):\1"', text))) == sorted(ORDINARY_PORTS.values())
    assert "- data:/var/lib/mailstack" in text
    assert re.search(r"^volumes:\n  data:$", text, re.MULTILINE)
    assert "\t" not in text
    # It needs no privilege, and no root that can be written.
    for line in ("read_only: true", "cap_drop: [ALL]", 'security_opt: ["no-new-privileges:true"]', "stop_grace_period: 15s"):
        assert f"    {line}\n" in text
    assert "network_mode: host" in read("compose.host.yaml")
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0:
        subprocess.run([docker, "compose", "-f", str(ROOT / "compose.yaml"), "config", "-q"], check=True)


def test_the_dockerfile_only_calls_the_build_script() -> None:
    text = read("Dockerfile")
    runs = re.findall(r"^RUN (.+)$", text, re.MULTILINE)
    assert runs[1] == "sh etc/build.sh /opt/mailstack"
    assert not [run for run in runs if "pip" in run]
    (exposed,) = re.findall(r"^EXPOSE (.+)$", text, re.MULTILINE)
    assert sorted(map(int, exposed.split())) == sorted(ORDINARY_PORTS.values())
    assert re.search(r"^USER mailstack$", text, re.MULTILINE)
    assert 'CMD ["mailstack", "health"]' in text
    # What the build needs is not left out of its context, and what is private is.
    ignored = read(".dockerignore").split()
    assert {".git", ".venv", "var"} <= set(ignored)
    needed = {"mailstack", "etc", "pyproject.toml", "requirements.lock", "README.md", "LICENSE"}
    assert not needed & set(ignored)


def test_the_build_script_installs_what_the_lock_says_and_nothing_else() -> None:
    text = read("etc/build.sh")
    assert "--require-hashes -r" in text
    assert "--no-deps" in text
    subprocess.run(["sh", "-n", str(ROOT / "etc/build.sh")], check=True)
    for script in ("test-root.sh", "test-container.sh", "test-container-run.sh"):
        subprocess.run(["sh", "-n", str(ROOT / "etc" / script)], check=True)
    subprocess.run(["bash", "-n", str(ROOT / ".ci/run")], check=True)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")
def test_the_unit_is_right_and_tight(tmp_path: Path) -> None:
    unit = tmp_path / "mailstack.service"
    program = tmp_path / "mailstack"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit.write_text(read("etc/systemd/mailstack.service").replace("/opt/mailstack/bin/mailstack", str(program)))
    environment = {**os.environ, "SYSTEMD_PAGER": ""}
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, env=environment)
    mine = [line for line in checked.stderr.splitlines() if "mailstack" in line and "Failed to" not in line]
    assert not mine, mine
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(unit)]
    rated = subprocess.run(command, capture_output=True, text=True, env=environment)
    if "unrecognized option" in rated.stderr:
        pytest.skip("this systemd-analyze rates no files")
    assert rated.returncode == 0, rated.stdout[-300:]


def test_the_unit_names_what_the_rest_names() -> None:
    text = read("etc/systemd/mailstack.service")
    assert "ExecStart=/opt/mailstack/bin/mailstack -c /etc/mailstack/mailstack.toml serve" in text
    assert "Type=notify" in text
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert int(stop) > 10
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in text


def test_every_package_of_the_wheel_is_a_package() -> None:
    """Hatch takes the folder as it is; a folder without __init__.py would be missed by others."""
    folders = {path.parent for path in (ROOT / "mailstack").rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]
    # All that is needed is code: no data files that a wheel could lack.
    others = [path for path in (ROOT / "mailstack").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    # But what pages are made of: hatchling takes every file of a package.
    pages = (".html", ".css", ".js", ".svg", ".LICENSE")
    assert not [path for path in others if "web" not in path.parts or path.suffix not in pages]
