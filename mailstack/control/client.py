"""Asking the running server."""

import socket
from pathlib import Path
from typing import Any

import orjson


def ask(path: Path, name: str, arguments: dict[str, Any], seconds: float = 600.0) -> dict[str, Any] | None:
    """The server's answer, None when no server runs."""
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(seconds)
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    with connection, connection.makefile("rwb") as stream:
        stream.write(orjson.dumps({"do": name, **arguments}) + b"\n")
        stream.flush()
        line = stream.readline()
    if not line:
        return {"error": "the server closed the connection", "code": 1}
    answer: dict[str, Any] = orjson.loads(line)
    return answer
