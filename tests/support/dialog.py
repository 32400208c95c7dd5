"""Dialogs as files: `1> text` is sent by session 1, `1< text` must come to it; `~` stands for anything.

`1<~ text` passes over lines until one matches. `{account}` and `{password}` are filled in, `{literal:N}` sends N octets.
"""

import re
import socket
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Session:
    connection: socket.socket
    buffer: bytes = b""

    def line(self) -> str:
        while b"\n" not in self.buffer:
            data = self.connection.recv(65536)
            if not data:
                raise EOFError("the server closed the connection")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "replace")


@dataclass
class Dialog:
    path: Path
    port: int
    values: dict[str, str] = field(default_factory=dict)
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
        found = re.fullmatch(r"(\d+)(>|<~|<)(?: (.*))?", raw)
        assert found is not None, f"{self.path.name}:{number}: not a dialog line: {raw}"
        who, kind, text = found[1], found[2], found[3] or ""
        session = self.sessions.get(who)
        if session is None:
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
            session = self.sessions[who] = Session(connection)
        for name, value in self.values.items():
            text = text.replace("{" + name + "}", value)
        if kind == ">":
            session.connection.sendall(text.encode().decode("unicode_escape").encode("latin-1") + b"\r\n")
            return
        pattern = re.compile(".*".join(re.escape(piece) for piece in text.split("~")), re.DOTALL)
        while True:
            line = session.line()
            if pattern.fullmatch(line):
                return
            assert kind == "<~", f"{self.path.name}:{number}: expected {text!r}, got {line!r}"
