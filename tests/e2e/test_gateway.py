"""A gateway from outside: the command, RCPT, and the mail that arrives inside."""

import json
import smtplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import Server
from tests.support.sink import CountingSink


@pytest.fixture
def sink() -> Iterator[CountingSink]:
    with CountingSink() as one:
        yield one


def test_mail_for_a_domain_inside(server: Server, sink: CountingSink, tmp_path: Path) -> None:
    server.run("gateway", "add", "inside.test", f"127.0.0.1:{sink.port}")
    try:
        assert json.loads(server.run("gateway", "list", "--json").stdout) == [
            {"domain": "inside.test", "to": f"127.0.0.1:{sink.port}", "recipients": "ask"}
        ]
        with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=20) as client:
            message = b"From: x@far.test\r\nSubject: inside-1\r\nMessage-ID: <inside-1@far.test>\r\n\r\nx\r\n"
            client.sendmail("x@far.test", ["someone@inside.test"], message)
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("x@far.test", ["someone@outside.test"], message)
        assert "inside-1" in sink.wait_for({"inside-1"}, 30.0)
        server.run("gateway", "add", "inside.test", f"127.0.0.1:{sink.port}", "--recipients", "list")
        server.run("gateway", "recipients", "inside.test", "--add", "named@inside.test")
        assert "named@inside.test" in server.run("gateway", "recipients", "inside.test").stdout
        with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=20) as client:
            client.ehlo()
            client.mail("x@far.test")
            assert client.rcpt("someone@inside.test")[0] == 550
            assert client.rcpt("named@inside.test")[0] == 250
    finally:
        server.run("gateway", "remove", "inside.test")
    assert server.run("gateway", "remove", "inside.test", check=False).returncode == 1
    for wrong in (("inside.test",), ("inside.test", "x y"), ("a.test", "host"), ("inside.test", "h", "--recipients", "all")):
        assert server.run("gateway", "add", *wrong, check=False).returncode in (1, 2)
