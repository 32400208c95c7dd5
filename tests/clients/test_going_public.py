"""From a trial to a public server, with Debian's pebble for the authority and a name server that takes changes."""

import socket
import ssl
import tomllib
from pathlib import Path

import pytest
from cryptography import x509

from tests.e2e.test_going_public import SOA, subjects
from tests.support.console import Console
from tests.support.dnsserver import DnsServer
from tests.support.pebble import Pebble, missing
from tests.support.server import Server, free_ports

pytestmark = [pytest.mark.clients, pytest.mark.skipif(missing() is not None, reason=str(missing()))]
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
SERVICES = ("smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s", "managesieve", "http", "https")


def test_one_command_with_a_certificate_at_its_end(tmp_path: Path) -> None:
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    names = {
        "real.test": {"SOA": SOA},
        "127.in-addr.arpa": {"SOA": SOA},
        "1.0.0.127.in-addr.arpa": {"PTR": ["mail.real.test."]},
    }
    with DnsServer(names) as zone, Pebble(tmp_path, zone.port, ports["http"], ports["https"]) as pebble:
        zone.keys["mail."] = SECRET
        (tmp_path / "key").write_text(f"mail:{SECRET}")
        server = Server(
            tmp_path,
            domain="home.test",
            ports=ports,
            settings=(
                f'[acme]\ndirectory = "{pebble.url}"\nca_file = "{pebble.ca}"\n'
                f'[dns]\nnameservers = ["127.0.0.1:{zone.port}"]\nupdate_server = "127.0.0.1:{zone.port}"\n'
                f'update_key_file = "{tmp_path}/key"\n'
            ),
        )
        server.environment["MAILSTACK_AUTHENTICATION__CHECK"] = "false"
        server.provision()
        server.start()
        try:
            with server.submission("bob") as client:
                text = b"From: bob@home.test\r\nSubject: of the trial\r\n\r\nhello\r\n"
                client.sendmail("bob@home.test", ["alice@home.test"], text)
            command = ("go-public", "real.test", "--keep-listeners", "--address", "127.0.0.1")
            done = Console(server).run(*command, "--server", f"127.0.0.1:{zone.port}")
            assert "mail.real.test is public" in done.stdout
            assert tomllib.loads(server.configuration.read_text())["tls"]["mode"] == "acme"
            assert subjects(server, "alice@real.test") == 1
            context = ssl.create_default_context(cadata=pebble.root())
            with socket.create_connection(("127.0.0.1", ports["imaps"]), timeout=20) as plain:
                with context.wrap_socket(plain, server_hostname="mail.real.test") as end:
                    leaf = x509.load_der_x509_certificate(end.getpeercert(True) or b"")
            assert "Pebble" in leaf.issuer.rfc4514_string()
        finally:
            server.stop()
