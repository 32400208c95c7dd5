"""The configurations that `mailstack proxy` prints, in the proxies that they are for; `proxy check` says whether they work."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mailstack.cli.proxies.passages import plan
from mailstack.cli.proxies.snippets import SNIPPETS
from mailstack.cli.reaching import greets
from mailstack.config import Config, Listen
from mailstack.policy.clients import client_settings
from tests.support.server import PASSWORD, Server, free_ports

pytestmark = pytest.mark.clients
SERVICES = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "managesieve", "http", "https")
MAIL = SERVICES[:-2]
PROGRAMS = {"haproxy": "haproxy", "nginx": "nginx", "caddy": "caddy"}


class Proxied:
    """A server as the printed settings want it, and a proxy with the printed configuration in front."""

    def __init__(self, folder: Path, name: str) -> None:
        if shutil.which(PROGRAMS[name]) is None:
            pytest.skip(f"{name} is not installed (make test-clients installs it)")
        self.folder = folder
        self.outside = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
        self.server = Server(folder)
        self.server.provision()
        ports = ",".join(f"{service}:{port}" for service, port in self.outside.items())
        self.server.environment["MAILSTACK_CLIENTS__PORTS"] = ports
        printed = self.server.run("proxy", name).stdout
        self.snippet, _, rest = printed.partition(f"# {self.server.configuration} must say")
        self.settings = rest.partition("\n")[2]
        with open(self.server.configuration, "a") as file:
            file.write(self.settings)
        del self.server.environment["MAILSTACK_CLIENTS__PORTS"]
        self.server.wait_for = lambda name, end: None  # type: ignore[method-assign] # they greet nobody without a header
        self.server.start()
        self.server.wait_for_event("ready")
        self.program: subprocess.Popen[bytes] | None = None

    def run(self, *command: str) -> None:
        environment = {**self.server.environment, "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)}
        with open(self.folder / "proxy.log", "wb") as log:
            self.program = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        end = time.monotonic() + 30
        while any(
            greets(name, "127.0.0.1", self.outside[name])
            for name in ("smtp", "imaps")
            if f"{self.outside[name]}" in self.snippet
        ):
            assert self.program.poll() is None, (self.folder / "proxy.log").read_text()
            assert time.monotonic() < end, (self.folder / "proxy.log").read_text()
            time.sleep(0.05)

    def check(self, code: int = 0) -> dict[str, tuple[str, str]]:
        """By the way in: state and text."""
        done = self.server.run("proxy", "check", "--host", "127.0.0.1", "--json", check=False)
        assert done.returncode == code, done.stdout + done.stderr + (self.folder / "proxy.log").read_text()
        return {row["what"]: (row["state"], row["text"]) for row in json.loads(done.stdout)}

    def pair(self) -> tuple[str, str]:
        """A certificate and its key for the proxy."""
        certificate, key = str(self.folder / "proxy.pem"), str(self.folder / "proxy.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
             "-subj", "/CN=mail.a.test", "-keyout", key, "-out", certificate], check=True, capture_output=True,
        )  # fmt: skip
        return certificate, key

    def stop(self) -> None:
        if self.program is not None:
            self.program.terminate()
            self.program.wait(20)
        self.server.stop()


@pytest.fixture
def proxied(tmp_path: Path) -> Iterator[Callable[[str], Proxied]]:
    made: list[Proxied] = []

    def make(name: str) -> Proxied:
        made.append(Proxied(tmp_path, name))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def run_haproxy(one: Proxied, snippet: str) -> None:
    certificate, key = one.pair()
    both = one.folder / "both.pem"
    both.write_text(Path(certificate).read_text() + Path(key).read_text())
    (rule,) = [line.removeprefix("#").strip() for line in snippet.splitlines() if "use_backend" in line]
    configuration = one.folder / "haproxy.cfg"
    configuration.write_text(
        f"defaults\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n{snippet}"
        f"frontend web\n  mode http\n  bind :::{one.outside['http']} v4v6\n"
        f"  bind :::{one.outside['https']} v4v6 ssl crt {both}\n  {rule}\n"
    )
    one.run("haproxy", "-db", "-f", str(configuration))


def test_haproxy_as_printed(proxied: Callable[[str], Proxied]) -> None:
    one = proxied("haproxy")
    run_haproxy(one, one.snippet)
    found = one.check()
    assert {what: state for what, (state, _) in found.items()} == dict.fromkeys(SERVICES, "ok"), found


def test_a_proxy_that_hides_its_clients_is_found_out(proxied: Callable[[str], Proxied]) -> None:
    one = proxied("haproxy")
    one.server.stop()
    text = one.server.configuration.read_text()
    one.server.configuration.write_text(
        "\n".join(line for line in text.splitlines() if not line.startswith(("listeners", "trusted")))
    )
    one.server.start()
    one.server.wait_for_event("ready", seen=1)
    run_haproxy(one, one.snippet.replace(" send-proxy-v2", ""))
    found = one.check(code=1)
    assert {what for what, (state, _) in found.items() if state == "bad"} == set(SERVICES), found
    assert "every client seems to be 127.0.0.1" in found["imaps"][1]
    assert "X-Forwarded-For" in found["https"][1]


def test_nginx_as_printed(proxied: Callable[[str], Proxied]) -> None:
    one = proxied("nginx")
    certificate, key = one.pair()
    stream, _, web = one.snippet.partition("# inside http { }")
    web = web.replace("/etc/ssl/certs/mailstack.pem", certificate).replace("/etc/ssl/private/mailstack.key", key)
    configuration = one.folder / "nginx.conf"
    configuration.write_text(
        f"load_module modules/ngx_stream_module.so;\ndaemon off;\nuser root;\npid {one.folder}/pid;\nerror_log stderr;\n"
        f"events {{}}\n{stream}"
        f"http {{\naccess_log off;\nclient_body_temp_path {one.folder}/b;\nproxy_temp_path {one.folder}/p;\n{web}}}\n"
    )
    one.run("nginx", "-p", "/usr/share/nginx", "-c", str(configuration))
    found = one.check()
    assert {what: state for what, (state, _) in found.items()} == dict.fromkeys(SERVICES, "ok"), found
    who = ("--local-interface", "127.0.0.9", "--from", "alice@a.test", "--to", "bob@a.test")
    login = ("--auth", "PLAIN", "--auth-user", "alice@a.test", "--auth-password", PASSWORD)
    server = ("--server", "127.0.0.1", "--port", str(one.outside["submissions"]), "--tls-on-connect")
    command = ("swaks", *server, *login, *who, "--h-Subject", "through")
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert "[127.0.0.9] over TLS" in " ".join(one.server.run("why", "bob@a.test", "through").stdout.split())


def test_caddy_as_printed(proxied: Callable[[str], Proxied]) -> None:
    """Mail goes past it, straight to the server's own ports."""
    one = proxied("caddy")
    assert "listeners" not in one.settings
    configuration = one.folder / "Caddyfile"
    ports = f"http_port {one.outside['http']}\nhttps_port {one.outside['https']}"
    configuration.write_text(f"{{\n{ports}\nlocal_certs\nskip_install_trust\nadmin off\n}}\n{one.snippet}")
    one.run("caddy", "run", "--adapter", "caddyfile", "--config", str(configuration))
    end = time.monotonic() + 30
    while greets("https", "127.0.0.1", one.outside["https"]) and time.monotonic() < end:
        time.sleep(0.1)
    found = one.check(code=1)  # nobody leads to the mail ports that were said to be outside
    assert {what: found[what][0] for what in ("http", "https")} == {"http": "ok", "https": "ok"}, found


# Traefik is not in Debian: what is printed has the keys of its reference, in their places (doc.traefik.io, v3.8).
ROUTER = {"entryPoints": list, "rule": str, "service": str}
TRAEFIK = {
    "entryPoints": {"*": {"address": str}},
    "tcp": {
        "serversTransports": {"*": {"proxyProtocol": {"version": int}}},
        "routers": {"*": ROUTER},
        "services": {"*": {"loadBalancer": {"serversTransport": str, "servers": [{"address": str}]}}},
    },
    "http": {
        "routers": {"*": {**ROUTER, "tls": {}}},
        "services": {"*": {"loadBalancer": {"servers": [{"url": str}]}}},
    },
}


def fits(value: object, schema: object) -> bool:
    if isinstance(schema, type):
        return isinstance(value, schema)
    if isinstance(schema, list):
        return isinstance(value, list) and all(fits(one, schema[0]) for one in value)
    assert isinstance(schema, dict)
    return isinstance(value, dict) and all(fits(one, schema.get(key, schema.get("*", bytes))) for key, one in value.items())


def test_traefiks_keys_are_those_of_its_reference() -> None:
    config = Config(hostname="mail.a.test", listen=Listen(pop3s=["[::]:995"]))
    lines = SNIPPETS["traefik"](plan(config, client_settings(config), ["a.test"], "127.0.0.1", "127.0.0.1"))
    code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))"
    done = subprocess.run(["/usr/bin/python3", "-c", code], input="\n".join(lines), capture_output=True, text=True)
    if "No module named 'yaml'" in done.stderr:
        pytest.skip("python3-yaml is not installed (make test-clients installs it)")
    found = json.loads(done.stdout)
    assert found.keys() == TRAEFIK.keys()
    assert fits(found, TRAEFIK)
    tcp, http = found["tcp"], found["http"]
    for router in tcp["routers"].values():
        assert set(router["entryPoints"]) <= found["entryPoints"].keys()
        assert tcp["services"][router["service"]]["loadBalancer"]["serversTransport"] in tcp["serversTransports"]
    assert {router["service"] for router in http["routers"].values()} == http["services"].keys()
