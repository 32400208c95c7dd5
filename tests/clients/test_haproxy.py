"""HAProxy in front of a running appliance: both versions of its header, before TLS too."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.cli.reaching import greets
from tests.support.server import PASSWORD, Server, free_ports

pytestmark = pytest.mark.clients
SERVICES = {"smtp": "send-proxy", "submission": "send-proxy-v2", "submissions": "send-proxy", "imap": "send-proxy",
            "imaps": "send-proxy-v2", "pop3": "send-proxy-v2", "pop3s": "send-proxy", "http": "send-proxy-v2"}  # fmt: skip


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, int]]]:
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed (make test-clients installs it)")
    folder = tmp_path_factory.mktemp("haproxy")
    names = ", ".join(f'"{name}"' for name in SERVICES)
    server = Server(folder, settings=f'[proxy]\nlisteners = [{names}]\ntrusted = ["127.0.0.1"]\n')
    server.provision()
    server.wait_for = lambda name, end: None  # type: ignore[method-assign] # they greet nobody without a header
    server.start()
    server.wait_for_event("ready")
    outside = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    program = subprocess.Popen(["haproxy", "-db", "-f", str(_configuration(folder, server, outside))])
    try:
        _wait(program, outside)
        yield server, outside
    finally:
        program.kill()
        program.wait()
        server.stop()


def _configuration(folder: Path, server: Server, outside: dict[str, int]) -> Path:
    path = folder / "haproxy.cfg"
    lines = ["defaults", "  mode tcp", "  timeout connect 5s", "  timeout client 60s", "  timeout server 60s"]
    for name, word in SERVICES.items():
        lines += [f"listen {name}", f"  bind 127.0.0.1:{outside[name]}", f"  server one 127.0.0.1:{server.ports[name]} {word}"]
    path.write_text("\n".join(lines) + "\n")
    return path


def _wait(program: "subprocess.Popen[bytes]", outside: dict[str, int]) -> None:
    end = time.monotonic() + 30
    while any(greets(name, "127.0.0.1", port) for name, port in outside.items()):
        assert program.poll() is None
        assert time.monotonic() < end


def test_every_door_answers_through_the_proxy(ports: tuple[Server, dict[str, int]]) -> None:
    _, outside = ports
    assert {name: greets(name, "127.0.0.1", port) for name, port in outside.items()} == dict.fromkeys(SERVICES)


@pytest.mark.parametrize(("name", "option"), [("smtp", "-tls"), ("submissions", "--tls-on-connect")])
def test_mail_comes_from_the_client_and_not_from_the_proxy(
    ports: tuple[Server, dict[str, int]], name: str, option: str
) -> None:
    server, outside = ports
    login = ("--auth", "PLAIN", "--auth-user", "alice@a.test", "--auth-password", PASSWORD) if name == "submissions" else ()
    command = ("swaks", "--server", "127.0.0.1", "--port", str(outside[name]), option, "--local-interface", "127.0.0.9",
               "--from", "alice@a.test", "--to", "bob@a.test", "--h-Subject", f"by {name}", *login)  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    text = server.run("why", "bob@a.test", f"by {name}").stdout
    assert "[127.0.0.9] over TLS" in " ".join(text.split())
