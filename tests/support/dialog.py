"""Dialogs as files: `1> text` is sent by session 1, `1< text` must come to it; `~` stands for anything.

`1<~ text` passes over lines until one matches. `{account}`, `{friend}` (another account) and `{password}` are filled in,
`{literal:N}` sends N octets. `{name}` in an answer takes the number that stands there; later it stands for that number.
`1! tls` shakes hands (`1! tls12` with TLS 1.2, `1! tls with FILE` with a certificate), `1! deflate` compresses both ways from
here on (`1! plain` no more), `1! closed` waits for the end of the connection, and `1! leave` closes it. `2! to imap`, as a
session's first step, leads it to another door. `1! scram USER PASSWORD` and `1! scram-plus USER PASSWORD` are the client's part
of an exchange, up to the empty line behind the server's proof. A line `# Proves: IDLE MOVE` names capabilities; `# Asks:
UIDONLY` is one that is shown to this account on request.
"""

import base64
import re
import socket
import ssl
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import scramp


@dataclass
class Session:
    connection: socket.socket
    buffer: bytes = b""
    pack: "zlib._Compress | None" = None
    unpack: "zlib._Decompress | None" = None

    def send(self, data: bytes) -> None:
        if self.pack is not None:
            data = self.pack.compress(data) + self.pack.flush(zlib.Z_SYNC_FLUSH)
        self.connection.sendall(data)

    def line(self) -> str:
        while b"\n" not in self.buffer:
            data = self.connection.recv(65536)
            if not data:
                raise EOFError("the server closed the connection")
            self.buffer += self.unpack.decompress(data) if self.unpack is not None else data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def do(self, what: str) -> None:
        match what:
            case "tls" | "tls12":
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                if what == "tls12":
                    context.maximum_version = ssl.TLSVersion.TLSv1_2
                self.connection = context.wrap_socket(self.connection)
            case _ if what.startswith("tls with "):
                context = ssl.create_default_context()
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                context.load_cert_chain(what.removeprefix("tls with "))
                self.connection = context.wrap_socket(self.connection)
            case _ if what.startswith("scram"):
                self._scram(*what.split(" ", 2))
            case "deflate":
                self.pack, self.unpack = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)
            case "plain":
                self.pack = self.unpack = None
            case "closed":
                assert self.buffer == b"", self.buffer
                assert self.connection.recv(65536) == b""
            case "leave":
                self.connection.close()
            case _:
                raise AssertionError(f"not a step: {what}")

    def _scram(self, kind: str, user: str, password: str) -> None:
        """Another's implementation of the client; it verifies the server's proof."""
        if kind == "scram-plus":
            assert isinstance(self.connection, ssl.SSLSocket)
            binding = ("tls-unique", self.connection.get_channel_binding("tls-unique"))
            client = scramp.ScramClient(["SCRAM-SHA-256-PLUS"], user, password, channel_binding=binding)
        else:
            client = scramp.ScramClient(["SCRAM-SHA-256"], user, password)
        self.send(base64.b64encode(client.get_client_first().encode()) + b"\r\n")
        client.set_server_first(self._challenge())
        self.send(base64.b64encode(client.get_client_final().encode()) + b"\r\n")
        client.set_server_final(self._challenge())
        self.send(b"\r\n")

    def _challenge(self) -> str:
        """IMAP and POP3 begin it with +, SMTP with 334."""
        mark, _, packed = self.line().partition(" ")
        assert mark in ("+", "334"), (mark, packed)
        return base64.b64decode(packed).decode()


@dataclass
class Dialog:
    path: Path
    port: int
    values: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)

    def run(self) -> None:
        try:
            for number, raw in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
                if raw.strip() and not raw.startswith("#"):
                    self._step(number, raw)
        finally:
            for session in self.sessions.values():
                session.connection.close()

    def _step(self, number: int, raw: str) -> None:
        found = re.fullmatch(r"(\d+)(>|<~|<|!)(?: (.*))?", raw)
        assert found is not None, f"{self.path.name}:{number}: not a dialog line: {raw}"
        who, kind, text = found[1], found[2], found[3] or ""
        session = self.sessions.get(who)
        if session is None:
            door = text.removeprefix("to ") if kind == "!" else ""
            connection = socket.create_connection(("127.0.0.1", self.ports.get(door, self.port)), timeout=20)
            session = self.sessions[who] = Session(connection)
            if door in self.ports:
                return
        for name, value in self.values.items():
            text = text.replace("{" + name + "}", value)
        if kind == ">":
            text = re.sub(r"\{literal:(\d+)\}", lambda found: "x" * int(found[1]), text)
            session.send(text.encode().decode("unicode_escape").encode("latin-1") + b"\r\n")
            return
        if kind == "!":
            session.do(text)
            return
        escaped = ".*".join(re.escape(piece) for piece in text.split("~"))
        pattern = re.compile(re.sub(r"\\\{([a-z]\w*)\\\}", r"(?P<\1>\\d+)", escaped), re.DOTALL)
        while True:
            try:
                line = session.line()
            except (OSError, EOFError) as problem:
                raise AssertionError(f"{self.path.name}:{number}: expected {text!r}: {problem!r}") from problem
            if (matched := pattern.fullmatch(line)) is not None:
                self.values.update(matched.groupdict())
                return
            assert kind == "<~", f"{self.path.name}:{number}: expected {text!r}, got {line!r}"
