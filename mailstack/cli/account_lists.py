"""Files that list accounts: CSV, or what Dovecot and the system have."""

import csv
import io
from pathlib import Path
from typing import Any

from mailstack.cli.invocation import fail
from mailstack.wire.passwd_file import looks_like_passwd, read_passwd

COLUMNS = {"address", "password", "hash", "quota"}


def read_accounts(file: Path, domain: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows for `user.import`, and the names of those without a hash. Ends the command where it is no such file."""
    try:
        text = file.read_text("utf-8-sig")
        if looks_like_passwd(text):
            rows, locked = read_passwd(text, domain)
            return [_row(one.line, one.address, one.hash, one.quota) for one in rows], locked
        return _read_csv(file, text), []
    except OSError as problem:
        fail(f"{file}: {problem.strerror}", 2)
    except (UnicodeDecodeError, csv.Error) as problem:
        fail(f"{file}: {problem}", 2)


def _row(line: int, address: str, hashed: str, quota: int | None) -> dict[str, Any]:
    return {"line": line, "address": address, "hash": hashed, "quota": str(quota) if quota is not None else ""}


def _read_csv(file: Path, text: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="more", strict=True)
    columns = set(reader.fieldnames or ())
    rows = [{**row, "line": reader.line_num} for row in reader]
    if "address" not in columns or columns - COLUMNS:
        fail(f"{file}: the first line must name the columns: address,password,hash,quota; or it is a passwd-file", 2)
    return rows
