"""Debian's pebble, an authority that speaks ACME, on loopback: it finds names by a DNS server of the test's."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import trustme

from tests.support.server import free_ports


class Pebble:
    """`with`; then `url`. `http`, `https`: where it looks for what it asks for, instead of 80 and 443."""

    def __init__(
        self,
        folder: Path,
        dns: int,
        http: int,
        https: int,
        *,
        environment: dict[str, str] | None = None,
        keys: dict[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.folder = folder
        self._ports = free_ports(2)
        self.port = port or self._ports[0]
        self.url = f"https://127.0.0.1:{self.port}/dir"
        self.ca = folder / "pebble-ca.pem"
        authority = trustme.CA()
        own = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(self.ca)
        own.cert_chain_pems[0].write_to_path(folder / "pebble.pem")
        own.private_key_pem.write_to_path(folder / "pebble.key")
        settings: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self._ports[1]}",
            "certificate": str(folder / "pebble.pem"),
            "privateKey": str(folder / "pebble.key"),
            "httpPort": http,
            "tlsPort": https,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": bool(keys),
            "externalAccountMACKeys": keys or {},
        }
        (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
        self._command = ["pebble", "-strict", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"]
        self._environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Pebble":
        with open(self.folder / "pebble.log", "ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        end = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
                return self
            except OSError:
                assert self._process.poll() is None, self.log()
                assert time.monotonic() < end
                threading.Event().wait(0.05)

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        return (self.folder / "pebble.log").read_text(errors="replace")

    def root(self) -> str:
        """The certificate of the authority itself, PEM: it is another one after each start."""
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(f"https://127.0.0.1:{self._ports[1]}/roots/0", context=context, timeout=20) as answer:
            found: bytes = answer.read()
        return found.decode()


def missing() -> str | None:
    """Why a test can't be run."""
    return None if shutil.which("pebble") else "pebble is not installed (make test-clients installs it)"
