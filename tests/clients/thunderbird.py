"""Debian's Thunderbird without its windows, driven by Marionette (a length and JSON, over TCP)."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.support.server import DOMAIN, Server, free_ports

LIBRARY = Path(__file__).with_suffix(".js")
SECONDS = 60
_CALL = """
const [source, name, given, done] = arguments;
if (!this.thunderbird) { new Function("window", source).call(this, window); }
Promise.resolve().then(() => this.thunderbird[name](...given))
    .then(value => done({ value: value ?? null }), problem => done({ problem: `${problem} ${problem?.stack}` }));
"""


class Thunderbird:
    """`preferences`: beside those that make it find the server. Use it with `with`."""

    def __init__(self, folder: Path, server: Server, preferences: dict[str, Any] | None = None) -> None:
        self.profile = folder / "profile"
        self.profile.mkdir(parents=True, exist_ok=True)
        (self._port,) = free_ports(1)
        (self.profile / "user.js").write_text(
            "".join(
                f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
                for name, value in (_preferences(server) | {"marionette.port": self._port} | (preferences or {})).items()
            )
        )
        self._environment = {**os.environ, "HOME": str(folder), "MOZ_HEADLESS": "1"}
        self._folder = folder

    def __enter__(self) -> "Thunderbird":
        command = ["thunderbird", "--headless", "--no-remote", "--marionette", "--remote-allow-system-access"]
        with open(self._folder / "said", "ab") as said:
            self._process = subprocess.Popen(
                [*command, "-profile", str(self.profile)],
                env=self._environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        try:
            self._connect(time.monotonic() + SECONDS)
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("Marionette:Quit", {"flags": ["eForceQuit"]})
            self._connection.close()
            self._process.wait(SECONDS)
        except (OSError, EOFError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()

    def __getattr__(self, name: str) -> Any:
        """A function of thunderbird.js."""

        def call(*given: Any) -> Any:
            arguments = [LIBRARY.read_text(), name, given]
            parameters = {"script": _CALL, "args": arguments, "sandbox": "system", "newSandbox": False}
            answer = self._ask("WebDriver:ExecuteAsyncScript", parameters)
            assert "problem" not in answer["value"], answer["value"]["problem"]
            return answer["value"]["value"]

        return call

    def _connect(self, end: float) -> None:
        while True:
            try:
                self._connection = socket.create_connection(("127.0.0.1", self._port), timeout=2 * SECONDS)
                break
            except OSError:
                assert self._process.poll() is None, (self._folder / "said").read_text()
                assert time.monotonic() < end, "thunderbird does not listen"
                time.sleep(0.05)
        self._buffer, self._number = b"", 0
        self._read()
        self._ask("WebDriver:NewSession", {})
        self._ask("Marionette:SetContext", {"value": "chrome"})
        self._ask("WebDriver:SetTimeouts", {"script": 1000 * SECONDS})

    def _ask(self, name: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        text = json.dumps([0, self._number, name, parameters]).encode()
        self._connection.sendall(b"%d:%b" % (len(text), text))
        _, number, problem, result = self._read()
        assert number == self._number
        assert problem is None, problem
        return result

    def _read(self) -> Any:
        while b":" not in self._buffer:
            self._fill()
        length, _, self._buffer = self._buffer.partition(b":")
        while len(self._buffer) < int(length):
            self._fill()
        text, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        return json.loads(text)

    def _fill(self) -> None:
        data = self._connection.recv(1 << 20)
        if not data:
            raise EOFError("thunderbird closed the connection")
        self._buffer += data


def _preferences(server: Server) -> dict[str, Any]:
    """Names of the domain lead to this machine, the web's ports to the server's; nobody else is asked anything."""
    names = (DOMAIN, f"mail.{DOMAIN}", f"autoconfig.{DOMAIN}", f"autodiscover.{DOMAIN}")
    return {
        "network.dns.localDomains": ",".join(names),
        "network.socket.forcePort": f"80={server.ports['http']};443={server.ports['https']}",
        "mailnews.auto_config_url": "",
        "mail.provider.suppress_dialog_on_startup": True,
        "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
        "app.update.disabledForTesting": True,
        "extensions.systemAddon.update.enabled": False,
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "mail.instrumentation.askUser": False,
        "mail.shell.checkDefaultClient": False,
    }
