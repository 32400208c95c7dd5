"""Another IMAP server, to be read: folders, what is in them, messages. It changes nothing there (EXAMINE, BODY.PEEK).

By the standard library's client: it has STARTTLS, takes any number of responses, and a command may wait.
"""

from __future__ import annotations

import calendar
import contextlib
import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap.mutf7 import decode

AT_ONCE = 500  # lines of a listing
SECONDS = 120.0
_LIST = re.compile(rb'\((?P<flags>[^)]*)\) (?:"(?P<separator>\\?.)"|NIL) (?P<name>.*)', re.DOTALL)
_DATE = re.compile(r" ?(\d{1,2})-([A-Z][a-z]{2})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_PREFIX = re.compile(rb'\(\("([^"]*)"')
USES = ("\\Sent", "\\Drafts", "\\Junk", "\\Trash", "\\Archive")
TWICE = {"\\All", "\\Flagged", "\\Important"}  # views on messages of other folders
MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}


class SourceProblem(Exception):
    """What the other server said, or that it can't be reached; the text is for people."""


@dataclass(frozen=True, slots=True)
class Login:
    """How to get in: one of password and token."""

    host: str
    port: int
    user: str
    password: str | None
    token: str | None
    security: str  # "tls", "starttls", "none"
    ca: str | None = None

    @property
    def source(self) -> str:
        """As the account remembers it."""
        return f"{self.user}@{self.host}"


@dataclass(frozen=True, slots=True)
class Folder:
    """`wire`: its name as the server has it; `name`: as it will be here. `all`: it shows messages of all other folders."""

    wire: bytes
    name: str
    use: str | None
    view: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    uid: int
    size: int
    flags: tuple[str, ...] = ()
    gmail: int | None = None  # X-GM-MSGID: the same in all folders


@dataclass(frozen=True, slots=True)
class Fetched:
    uid: int
    flags: tuple[str, ...]
    date: float | None
    octets: bytes


class ImapSource:
    """One connection. All calls block, and raise SourceProblem for what the server refuses, OSError where it is gone."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._imap = self._connect()
        self.gmail = "X-GM-EXT-1" in self._imap.capabilities

    def _connect(self) -> imaplib.IMAP4:
        login = self._login
        context = ssl.create_default_context(cafile=login.ca)
        with _told(f"{login.host}:{login.port}"):
            if login.security == "tls":
                imap: imaplib.IMAP4 = imaplib.IMAP4_SSL(login.host, login.port, ssl_context=context, timeout=SECONDS)
            else:
                imap = imaplib.IMAP4(login.host, login.port, timeout=SECONDS)
                if login.security == "starttls":
                    imap.starttls(context)
        with _told(f"login of {login.user}"):
            if imap.state == "NONAUTH" and login.token is not None:
                bearer = f"user={login.user}\x01auth=Bearer {login.token}\x01\x01".encode()
                imap.authenticate("XOAUTH2", lambda _: bearer)
            elif imap.state == "NONAUTH":
                imap.login(_quoted(login.user.encode()).decode(), login.password or "")
            imap.capability()
            imap.capabilities = _capabilities(imap)
        return imap

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._imap.logout()

    def folders(self) -> list[Folder]:
        """Those that hold messages, of this user. The ones that show all others' messages come last."""
        with _told("LIST"):
            if "SPECIAL-USE" in self._imap.capabilities and "LIST-EXTENDED" in self._imap.capabilities:
                answer = self._imap._simple_command("LIST", '""', '"*"', "RETURN", "(SPECIAL-USE)")
                _, lines = self._imap._untagged_response(*answer, "LIST")
            else:
                _, lines = self._imap.list('""', '"*"')
        prefix = self._prefix()
        found = [folder for line in lines or [] if (folder := self._folder(line, prefix)) is not None]
        return sorted(found, key=lambda folder: (folder.view is not None, folder.name != "INBOX", folder.name))

    def _prefix(self) -> bytes:
        """Of the user's own folders: `INBOX.` with some servers."""
        if "NAMESPACE" not in self._imap.capabilities:
            return b""
        with contextlib.suppress(imaplib.IMAP4.error):
            _, lines = self._imap.namespace()
            found = _PREFIX.match(lines[0] or b"")
            return found[1] if found else b""
        return b""

    def _folder(self, line: Any, prefix: bytes) -> Folder | None:
        head, literal = line if isinstance(line, tuple) else (line, None)
        found = _LIST.match(head or b"")
        if found is None:
            return None
        flags = {flag.decode("ascii", "replace").lower() for flag in found["flags"].split()}
        if flags & {"\\noselect", "\\nonexistent"}:
            return None
        wire = literal if literal is not None else _unquoted(found["name"])
        separator = (found["separator"] or b"").removeprefix(b"\\") if found["separator"] != b"\\" else b"\\"
        mine = wire[len(prefix) :] if prefix and wire.startswith(prefix) and wire.upper() != b"INBOX" else wire
        parts = mine.split(separator) if separator else [mine]
        if parts[0] in (b"[Gmail]", b"[Google Mail]") and len(parts) > 1:
            parts = parts[1:]
        use = next((use for use in USES if use.lower() in flags), None)
        view = next((view for view in sorted(TWICE) if view.lower() in flags), None)
        return Folder(wire, "/".join(_name(part) for part in parts), use, view)

    def examine(self, folder: Folder) -> int:
        """UIDVALIDITY."""
        with _told(f"EXAMINE {folder.name}"):
            self._imap.select(_quoted(folder.wire).decode("utf-8", "surrogateescape"), readonly=True)
            validity = self._imap.response("UIDVALIDITY")[1]
            if not validity or validity[0] is None:
                raise SourceProblem(f"{folder.name}: the server gives no UIDVALIDITY")
            return int(validity[0])

    def listing(self) -> list[Listed]:
        """All messages of the folder that was examined."""
        with _told("UID SEARCH"):
            _, found = self._imap.uid("SEARCH", "ALL")
        uids = sorted(int(word) for line in found or [] for word in (line or b"").split())
        listed: list[Listed] = []
        what = "(UID FLAGS RFC822.SIZE X-GM-MSGID)" if self.gmail else "(UID FLAGS RFC822.SIZE)"
        for some in _pieces(uids, AT_ONCE):
            with _told("UID FETCH"):
                _, lines = self._imap.uid("FETCH", _set(some), what)
            for line in lines or []:
                one = _listed(line if isinstance(line, bytes) else b"".join(line or ()))
                if one is not None:
                    listed.append(one)
        return sorted(listed, key=lambda one: one.uid)

    def fetch(self, uids: Sequence[int]) -> list[Fetched]:
        """Whole messages; those that are gone are left out."""
        with _told("UID FETCH"):
            _, lines = self._imap.uid("FETCH", _set(uids), "(UID FLAGS INTERNALDATE BODY.PEEK[])")
        found = []
        for number, line in enumerate(lines or []):
            if isinstance(line, tuple):
                behind = lines[number + 1] if number + 1 < len(lines) and isinstance(lines[number + 1], bytes) else b""
                one = _fetched(line[0] + b" " + behind, line[1])
                if one is not None and one.uid in set(uids):
                    found.append(one)
        return found


def _capabilities(imap: imaplib.IMAP4) -> tuple[str, ...]:
    """As they are after the login."""
    _, lines = imap.capability()
    return tuple(word.upper() for word in (lines[-1] or b"").decode("ascii", "replace").split())


def _flags(text: bytes) -> tuple[str, ...]:
    found = re.search(rb"FLAGS \(([^)]*)\)", text)
    return tuple(flag.decode("ascii", "replace") for flag in found[1].split()) if found else ()


def _listed(text: bytes) -> Listed | None:
    uid, size = re.search(rb"UID (\d+)", text), re.search(rb"RFC822\.SIZE (\d+)", text)
    gmail = re.search(rb"X-GM-MSGID (\d+)", text)
    if uid is None or size is None:
        return None
    return Listed(int(uid[1]), int(size[1]), _flags(text), int(gmail[1]) if gmail else None)


def _fetched(text: bytes, octets: bytes) -> Fetched | None:
    uid = re.search(rb"UID (\d+)", text)
    if uid is None:
        return None
    date = re.search(rb'INTERNALDATE "([^"]*)"', text)
    return Fetched(int(uid[1]), _flags(text), moment(date[1].decode("ascii", "replace")) if date else None, octets)


def moment(text: str) -> float | None:
    """Seconds since the epoch, of an INTERNALDATE (RFC 9051 9 date-time)."""
    found = _DATE.fullmatch(text)
    if found is None or found[2] not in MONTHS:
        return None
    shift = (int(found[8]) * 60 + int(found[9])) * (60 if found[7] == "+" else -60)
    when = (int(found[3]), MONTHS[found[2]], int(found[1]), int(found[4]), int(found[5]), int(found[6]), 0, 0, 0)
    with contextlib.suppress(ValueError, OverflowError):
        return float(calendar.timegm(when) - shift)
    return None


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """A refusal in words; a connection that is gone stays an OSError."""
    try:
        yield
    except imaplib.IMAP4.abort as problem:
        raise ConnectionError(str(problem)) from problem
    except imaplib.IMAP4.error as problem:
        text = problem.args[0] if problem.args else ""
        said = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        raise SourceProblem(f"{what}: {said}") from problem
    except ssl.SSLCertVerificationError as problem:
        raise SourceProblem(
            f"{what}: its certificate is not valid: {problem.verify_message}; --ca names another authority"
        ) from problem


def _quoted(name: bytes) -> bytes:
    return b'"' + name.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _unquoted(name: bytes) -> bytes:
    if name[:1] == b'"' and name[-1:] == b'"':
        return re.sub(rb"\\(.)", rb"\1", name[1:-1])
    return name


def _name(part: bytes) -> str:
    try:
        return decode(part).replace("/", "_")
    except SyntaxProblem:
        return part.decode("utf-8", "replace").replace("/", "_")


def _set(uids: Sequence[int]) -> str:
    """RFC 9051 9 sequence-set, with ranges."""
    ranges: list[list[int]] = []
    for uid in uids:
        if ranges and ranges[-1][1] == uid - 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in ranges)


def _pieces(uids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for first in range(0, len(uids), size):
        yield uids[first : first + size]
