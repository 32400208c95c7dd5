"""MTA-STS: what a domain says of TLS to its hosts (RFC 8461): a record in the DNS, and a policy on a web server."""

import enum
import hashlib
import re
from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem

POLICY_LIMIT = 65536  # octets (RFC 8461 3.3 suggests 64 KiB)
LONGEST = 31557600  # seconds, a year (RFC 8461 3.2)
HOSTS = 1000
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_PATTERN = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]{0,62})?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62})?)*\.?")


class Mode(enum.StrEnum):
    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """`hosts`: patterns in lower case, "mail.example.org" or "*.example.org"; `max_age`: seconds."""

    mode: Mode
    hosts: tuple[str, ...]
    max_age: int

    def fits(self, host: str) -> bool:
        """Whether mail may go to this host; a star stands for one label (RFC 8461 4.1)."""
        name = host.lower().rstrip(".")
        return any(name == one or (one.startswith("*.") and name.partition(".")[2] == one[2:]) for one in self.hosts)

    def __str__(self) -> str:
        """The policy file."""
        lines = ["version: STSv1", f"mode: {self.mode}", *(f"mx: {host}" for host in self.hosts), f"max_age: {self.max_age}"]
        return "".join(f"{line}\r\n" for line in lines)


def own_policy(mode: str, host: str, max_age: float) -> StsPolicy | None:
    """What a server says of itself; None for "off"."""
    return None if mode == "off" else StsPolicy(Mode(mode), (host.lower(),), min(int(max_age), LONGEST))


def record_of(policy: StsPolicy) -> str:
    """The record at _mta-sts: another id for another policy (RFC 8461 3.1)."""
    return f"v=STSv1; id={hashlib.sha256(str(policy).encode()).hexdigest()[:20]}"


def parse_record(texts: list[str]) -> str | None:
    """The id of a domain's policy, from the TXT records at _mta-sts; None where there is no policy (RFC 8461 3.1)."""
    ours = [text for text in texts if re.match(r"v=STSv1\s*(?:;|\Z)", text)]
    if len(ours) != 1:
        return None
    tags = [one.partition("=") for one in ours[0].split(";")]
    ids = [value.strip() for name, _, value in tags if name.strip() == "id"]
    return ids[0] if ids and _ID.fullmatch(ids[0]) else None


def parse_policy(data: bytes) -> StsPolicy:
    """A policy file (RFC 8461 3.2). Raises SyntaxProblem."""
    if len(data) > POLICY_LIMIT:
        raise SyntaxProblem("the policy is too large")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise SyntaxProblem("the policy is not UTF-8") from None
    single: dict[str, str] = {}
    hosts: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.strip():
            continue
        name, found, value = line.partition(":")
        if not found:
            raise SyntaxProblem(f"{line[:60]!r} is no field")
        key, value = name.strip(), value.strip()
        if key == "mx":
            if not _PATTERN.fullmatch(value) or len(value) > 253:
                raise SyntaxProblem(f"{value[:60]!r} is no host")
            hosts.append(value.lower().rstrip("."))
        else:
            single.setdefault(key, value)
    return _checked(single, hosts)


def _checked(single: dict[str, str], hosts: list[str]) -> StsPolicy:
    if single.get("version") != "STSv1":
        raise SyntaxProblem("the version is not STSv1")
    try:
        mode = Mode(single.get("mode", ""))
    except ValueError:
        raise SyntaxProblem(f"{single.get('mode', '')[:20]!r} is no mode") from None
    age = single.get("max_age", "")
    if not re.fullmatch("[0-9]{1,10}", age):
        raise SyntaxProblem(f"{age[:20]!r} is no max_age")
    if not hosts and mode is not Mode.NONE:
        raise SyntaxProblem("it names no host")
    if len(hosts) > HOSTS:
        raise SyntaxProblem("it names too many hosts")
    return StsPolicy(mode, tuple(dict.fromkeys(hosts)), min(int(age), LONGEST))
