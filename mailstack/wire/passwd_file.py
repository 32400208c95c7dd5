"""Accounts as Dovecot's passwd-file lists them (`user:hash:uid:gid:gecos:home:shell:extra`), and /etc/shadow; docker-mailserver
writes `user|hash`. See passwd-file in Dovecot's manual.
"""

import re
from dataclasses import dataclass

_FIRST = re.compile(r"[^\s:|,#]+[:|]")
_QUOTA = re.compile(r"(?:^|\s)(?:userdb_)?quota_rule=\*:(storage|bytes)=([0-9]{1,15})([BkKMGT]?)(?=\s|$)")
_UNITS = {"B": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_LOCKED = ("!", "*", "x")  # what stands instead of a hash where nobody logs in, or the hash is elsewhere


@dataclass(frozen=True, slots=True)
class PasswdRow:
    """One account. `quota` in octets; None where the file tells none, or none that is of this form."""

    line: int
    address: str
    hash: str
    quota: int | None = None


def looks_like_passwd(text: str) -> bool:
    """By its first line that says anything."""
    for line in text.split("\n"):
        if line.strip() and not line.lstrip().startswith("#"):
            return _FIRST.match(line) is not None
    return False


def read_passwd(text: str, domain: str) -> tuple[list[PasswdRow], list[str]]:
    """The accounts, and the names of those without a hash. `domain` is put behind names that have none."""
    rows: list[PasswdRow] = []
    locked: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        # No more than these: values of the last may have colons.
        fields = re.split(r"\|", line, maxsplit=1) if _is_bar(line) else line.split(":", 7)
        name, hashed = fields[0].strip(), fields[1].strip() if len(fields) > 1 else ""
        if not hashed or hashed.startswith(_LOCKED):
            locked.append(name)
            continue
        address = name if "@" in name or not domain else f"{name}@{domain}"
        rows.append(PasswdRow(number, address, hashed, _quota(fields[7]) if len(fields) > 7 else None))
    return rows, locked


def _is_bar(line: str) -> bool:
    bar, colon = line.find("|"), line.find(":")
    return bar >= 0 and (colon < 0 or bar < colon)


def _quota(extra: str) -> int | None:
    found = _QUOTA.search(extra)
    if found is None:
        return None
    kind, number, unit = found[1], int(found[2]), found[3].upper() or ("K" if found[1] == "storage" else "B")
    return number if kind == "bytes" and not found[3] else number << (10 * _UNITS[unit])
