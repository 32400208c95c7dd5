"""smarthost: a service is tried with a real message, and used only if it takes it."""

import asyncio
import json
import ssl
import tomllib
from pathlib import Path

import pytest
import trustme

from mailstack.config import load
from tests.support.console import Console
from tests.support.peer import EXTENSIONS, Peer, Script
from tests.support.server import Server


async def test_a_service_is_tried_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    console = Console(Server(tmp_path))
    console.data.mkdir()
    path = console.server.configuration

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    offers = (*EXTENSIONS, "AUTH PLAIN")
    good = Script(tls=context, login=("u@x.test", "geheim&1"), extensions=offers)
    refuses = Script({"RCPT": "550 5.7.1 domain not verified"}, offers, context, ("u@x.test", "geheim&1"))
    async with Peer(refuses, good) as peer:
        command = ("smarthost", "set", "isp", "--host", "localhost", "--port", str(peer.port), "--user", "u@x.test")

        def run(password: str, check: bool = True) -> tuple[int, str]:
            done = console.run(*command, "--password-stdin", stdin=f"{password}\n", check=check)
            return done.returncode, done.stdout + done.stderr

        before = path.read_text()
        code, said = await asyncio.to_thread(run, "geheim&1", False)
        assert (code, "RCPT TO:<alice@a.test>: 550 5.7.1 domain not verified" in said) == (1, True), said
        assert path.read_text() == before
        code, said = await asyncio.to_thread(run, "geheim&1")
        assert "took a message for alice@a.test" in said
        assert "geheim" not in said + path.read_text()
        assert [message.to for message in peer.messages] == [["alice@a.test"]]
    settings = tomllib.loads(path.read_text())["relay"]
    assert settings["smarthost"] == f"smtp://u%40x.test@localhost:{peer.port}"
    secret = Path(settings["smarthost_password_file"])
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("geheim&1\n", 0o600)
    load(path)
    await asyncio.to_thread(console.run, "smarthost", "off")
    assert load(path).relay.smarthost == ""


def test_what_is_listed_and_what_is_missing(tmp_path: Path) -> None:
    console = Console(Server(tmp_path))
    rows = json.loads(console.run("smarthost", "list", "--json").stdout)
    assert {"ses", "mailgun", "postmark", "brevo", "smtp2go", "isp"} == {row["name"] for row in rows}
    assert "SMTP key" in console.run("smarthost", "list").stdout
    for command in (("nonsense",), ("ses", "--user", "u"), ("isp",), ("mailgun", "--user", "u", "--password-stdin")):
        assert console.run("smarthost", "set", *command, check=False).returncode == 2, command
