"""The ManageSieve door from outside: each command has a dialog, sessions end when they must, and what is filed is heard of."""

import base64
import re
import smtplib
import socket
from pathlib import Path

from mailstack.managesieve.commands import HANDLERS
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

DIALOGS = Path(__file__).parents[1] / "dialogs/managesieve"


class Talk:
    """A client of few words."""

    def __init__(self, server: Server, account: str, password: str = PASSWORD) -> None:
        self.connection = socket.create_connection(("127.0.0.1", server.ports["managesieve"]), timeout=20)
        self.stream = self.connection.makefile("rb")
        self.answer()
        packed = base64.b64encode(f"\0{account}@a.test\0{password}".encode()).decode()
        self.welcome = self.say(f'AUTHENTICATE "PLAIN" "{packed}"')

    def say(self, line: str, script: str | None = None) -> str:
        data = b"" if script is None else b" {%d+}\r\n%b" % (len(script.encode()), script.encode())
        self.connection.sendall(line.encode() + data + b"\r\n")
        return self.answer()

    def answer(self) -> str:
        while True:
            line = self.stream.readline().decode()
            if not line or line.startswith(("OK", "NO", "BYE")):
                return line.strip()


def test_each_command_succeeds_in_a_dialog() -> None:
    succeeded: set[str] = set()
    for path in DIALOGS.glob("*.txt"):
        sent = ""
        for line in path.read_text().splitlines():
            if line[1:3] == "> " and line[3:4] not in ('"', "{"):
                sent = re.split(r"[ \\]", line[3:])[0].upper()
            elif re.match(r"\d<~? OK", line) and sent:
                succeeded.add(sent)
    assert set(HANDLERS) <= succeeded


def test_a_script_that_is_put_sorts_at_once_and_idle_hears_of_it(server: Server, account: str) -> None:
    talk = Talk(server, account)
    assert talk.welcome.startswith("OK")
    script = 'require ["fileinto", "imap4flags"]; fileinto :flags "\\\\Flagged" "Junk"; stop;'
    assert talk.say('PUTSCRIPT "main"', script).startswith("OK")
    assert talk.say('SETACTIVE "main"').startswith("OK")
    listening = Client(server.ports["imap"])
    listening.login(f"{account}@a.test", PASSWORD)
    listening.ok("SELECT Junk")
    listening.send(b"i IDLE\r\n")
    assert listening.raw().startswith(b"+")
    with smtplib.SMTP("127.0.0.1", server.ports["smtp"], timeout=20) as client:
        client.sendmail("x@far.test", [f"{account}@a.test"], b"Subject: filed\r\n\r\nx\r\n")
    assert listening.raw() == b"* 1 EXISTS\r\n"
    listening.socket.close()
    assert talk.say('SETACTIVE ""').startswith("OK")
    talk.connection.close()


def test_a_new_password_ends_the_session_and_an_app_password_may_be_for_this_door_alone(server: Server, account: str) -> None:
    address = f"{account}@a.test"
    only = server.run("user", "app-password", "add", address, "rules", "--scope", "managesieve").stdout.split()[-1]
    mail = server.run("user", "app-password", "add", address, "mail", "--scope", "imap").stdout.split()[-1]
    assert Talk(server, account, mail).welcome.startswith("NO")
    talk = Talk(server, account, only)
    assert talk.welcome.startswith("OK")
    server.run("user", "passwd", address, "--password-stdin", stdin=f"{PASSWORD}\n")
    assert talk.stream.readline() == b""
