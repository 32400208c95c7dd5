"""Who shows a certificate to a running server: one that nobody knows, and one that is taken away again."""

import imaplib
import smtplib
import ssl
from pathlib import Path

import pytest
import trustme

from tests.support.console import Console
from tests.support.server import Server


def shows(folder: Path, leaf: trustme.LeafCert) -> ssl.SSLContext:
    path = folder / "both.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(path)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(path)
    return context


def test_a_stranger(server: Server, tmp_path: Path) -> None:
    context = shows(tmp_path, trustme.CA().issue_cert("alice@a.test"))
    with pytest.raises((ssl.SSLError, imaplib.IMAP4.abort, ConnectionError)):
        imaplib.IMAP4_SSL("127.0.0.1", server.ports["imaps"], ssl_context=context, timeout=20)
    # Other hosts are not asked for theirs: many have one.
    with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=20) as host:
        host.starttls(context=context)
        assert host.ehlo()[0] == 250


def test_taken_away_while_it_is_used(server: Server, account: str, tmp_path: Path) -> None:
    address = f"{account}@a.test"
    leaf = trustme.CA().issue_cert("laptop.test")
    context = shows(tmp_path, leaf)
    pem = tmp_path / "laptop.pem"
    leaf.cert_chain_pems[0].write_to_path(pem)
    console = Console(server)
    assert f"is bound to {address}" in console.run("user", "certificate", "add", address, "laptop", str(pem)).stdout
    assert "laptop" in console.run("user", "certificate", "list", address).stdout
    connection = imaplib.IMAP4_SSL("127.0.0.1", server.ports["imaps"], ssl_context=context, timeout=20)
    assert connection.authenticate("EXTERNAL", lambda _: b"")[0] == "OK"
    console.run("user", "certificate", "remove", address, "laptop")
    with pytest.raises((imaplib.IMAP4.abort, ConnectionError)):
        connection.noop()
        connection.noop()
    late = imaplib.IMAP4_SSL("127.0.0.1", server.ports["imaps"], ssl_context=context, timeout=20)
    with pytest.raises(imaplib.IMAP4.error):
        late.authenticate("EXTERNAL", lambda _: b"")
    late.shutdown()
    for bad, words in ((str(tmp_path / "none"), "No such file"), (str(tmp_path), "directory")):
        ended = console.run("user", "certificate", "add", address, "x", bad, check=False)
        assert (ended.returncode, words in ended.stderr) == (2, True), ended
    (tmp_path / "no.pem").write_text("x")
    assert (
        "no certificate in PEM form"
        in console.run("user", "certificate", "add", address, "x", str(tmp_path / "no.pem"), check=False).stderr
    )
