"""What a Recorder heard on IMAP connections as a dialog file: the client's octets as they were, the answers in their essence.

Answers wait for their client: before a session says something, what the others asked is answered (IDLE aside), so that a replay
does not depend on which of two came first. Numbers that a server chooses (UIDVALIDITY, MODSEQ) become names.
"""

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.support.recording import Said

LONGEST = 130  # characters of an answer; what is behind may be anything
_LITERAL = re.compile(rb"\{(\d+)\+?\}\r\n$")
_TAGGED = re.compile(r"([^\s*+]+) (OK|NO|BAD)(?: \[([A-Z-]+))?")
_CODES = ("APPENDUID", "COPYUID", "NONEXISTENT", "ALREADYEXISTS", "TRYCREATE")
_KEPT = re.compile(r"\* (?:\d+ (?:EXISTS|EXPUNGE|FETCH)\b|VANISHED|SEARCH|SORT|ESEARCH|ENABLED|BYE|STATUS|(?:X?LIST|LSUB) )")
# What a command may bring; the same from others' doings comes at a time of its own, and is waited for in IDLE alone.
_BROUGHT = {
    "EXISTS": {"SELECT", "EXAMINE", "APPEND"},
    "EXPUNGE": {"EXPUNGE", "MOVE"},
    "VANISHED": {"EXPUNGE", "MOVE", "SELECT", "FETCH"},
    "FETCH": {"FETCH", "STORE"},
    "STATUS": {"STATUS", "LIST"},
}
_MARKS = re.compile(r"(HIGHESTMODSEQ|MODSEQ|UIDVALIDITY) \(?(\d+)")
_ASKED = re.compile(rb"\b(?:CHANGEDSINCE|UNCHANGEDSINCE) (\d+)|QRESYNC \((\d+) (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    session: int
    seconds: float
    data: bytes  # a line with its CRLF; a literal's octets stand with the line that follows them


@dataclass(frozen=True, slots=True)
class Exchange:
    """A command and its tagged answer. `kind`: OK, NO, BAD."""

    command: str
    kind: str
    seconds: float


def exchanges(heard: list[Said]) -> Iterator[Exchange]:
    """All but IDLE, as they ended."""
    asked: dict[tuple[int, str], tuple[float, str]] = {}
    for one in sorted([*lines(heard, client=True), *lines(heard, client=False)], key=lambda one: one.seconds):
        text = one.data.decode("utf-8", "replace").rstrip("\r\n")
        key = (one.session, text.partition(" ")[0])
        if (found := _TAGGED.match(text)) is not None and key in asked:
            begun, command = asked.pop(key)
            if command.upper() != "IDLE":
                yield Exchange(command, found[2], one.seconds - begun)
        elif (found := re.match(r"(\w+) (\w.*)", text)) is not None:
            asked.setdefault(key, (one.seconds, found[2]))


@dataclass(slots=True)
class Session:
    answers: list[Line] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)  # by tag: commands
    idle: float | None = None  # since when
    greeted: bool = False
    literal: bool = False  # what comes next from the client begins with one
    said: list[float] = field(default_factory=list)  # when the client says what is still to come
    last: float = -1.0  # when it said something last
    compress: str = ""  # the tag


def lines(heard: Iterable[Said], *, client: bool) -> Iterator[Line]:
    """Of each session on its own, in their order."""
    buffers: dict[int, bytes] = {}
    literal: dict[int, int] = {}
    for one in heard:
        if one.client != client:
            continue
        buffer = buffers.get(one.session, b"") + one.data
        while (end := buffer.find(b"\r\n", literal.get(one.session, 0))) >= 0:
            line, buffer = buffer[: end + 2], buffer[end + 2 :]
            yield Line(one.session, one.seconds, line)
            found = _LITERAL.search(line)
            literal[one.session] = int(found[1]) if found else 0
        buffers[one.session] = buffer


def _asks(command: str, kind: str, answer: str) -> bool:
    """Whether an answer may be of this command: FETCH of messages that it names."""
    found = re.match(r"(UID )?(\w+)(?: ([\d:*,]+))?", command)
    if found is None or found[2] not in _BROUGHT[kind]:
        return False
    if kind != "FETCH" or found[3] is None:
        return True
    number = re.search(r"\(UID (\d+)" if found[1] else r"^\* (\d+)", answer)
    return number is not None and any(_within(int(number[1]), part) for part in found[3].split(","))


def _within(number: int, part: str) -> bool:
    first, _, last = part.partition(":")
    ends = [1 << 32 if end == "*" else int(end) for end in (first, last or first)]
    return min(ends) <= number <= max(ends) or "*" in part  # the last one answers to any number


@dataclass(slots=True)
class Transcript:
    """`text()` once. `account` and `password` are those with which the programs logged in."""

    heard: list[Said]
    account: str
    password: str
    sessions: dict[int, Session] = field(default_factory=dict)
    out: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # of numbers

    def text(self) -> str:
        for line in lines(self.heard, client=False):
            self._session(line.session).answers.append(line)
        said = list(lines(self.heard, client=True))
        for line in said:
            self._session(line.session).said.append(line.seconds)
        self._name_numbers(said)
        for line in said:
            self._answers(line)
            self._say(line)
        for number in self.sessions:
            while self.sessions[number].answers:
                self._answer(number)
        text = "\n".join(self.out) + "\n"
        assert self.password not in text
        return text

    def _session(self, number: int) -> Session:
        return self.sessions.setdefault(number, Session())

    def _name_numbers(self, said: list[Line]) -> None:
        answers = b"".join(one.data for one in self.heard if not one.client).decode("utf-8", "replace")
        validities = {number for kind, number in _MARKS.findall(answers) if kind == "UIDVALIDITY"}
        for line in said:
            for since, validity, known in _ASKED.findall(line.data):
                for number in (since, known):
                    if number:
                        self.names.setdefault(number.decode(), f"modseq{number.decode()}")
                if validity:
                    self.names.setdefault(validity.decode(), f"validity{len(self.names)}")
            for number in validities & set(re.findall(r"\d{5,}", line.data.decode("latin-1"))):
                self.names.setdefault(number, f"validity{len(self.names)}")

    def _answers(self, line: Line) -> None:
        """What came before a client's line, and what others wait for."""
        for number, session in self.sessions.items():
            while session.answers and self._due(session, number != line.session, line.seconds):
                self._answer(number)

    def _due(self, session: Session, other: bool, now: float) -> bool:
        when = session.answers[0].seconds
        return when < now or (other and bool(session.waiting) and (not session.said or when < session.said[0]))

    def _answer(self, number: int) -> None:
        session = self.sessions[number]
        line = session.answers.pop(0)
        text = line.data.decode("utf-8", "replace").rstrip("\r\n")
        found = _TAGGED.match(text)
        if not session.greeted:
            kept: str | None = "* OK ~"
        elif found is not None:
            kept = self._end(*found.groups(), text)
        else:
            kept = self._essence(text) if self._brought(number, text) else None
        session.greeted = True
        session.idle = line.seconds if text.startswith("+ idling") else session.idle
        if kept is not None:
            self.out.append(f"{number}<~ {kept}")
        if found is not None:
            session.waiting.pop(found[1], None)
            if found[1] == session.compress:
                self.out.append(f"{number}! deflate")

    def _brought(self, number: int, text: str) -> bool:
        """By what this session asked, or by what another did while this one idled."""
        found = re.match(r"\* (?:\d+ )?([A-Z]+)", text)
        if found is None or found[1] not in _BROUGHT:
            return True
        session = self.sessions[number]
        if session.idle is not None:
            return any(one.last > session.idle for key, one in self.sessions.items() if key != number)
        return any(_asks(command, found[1], text) for command in session.waiting.values())

    def _end(self, tag: str, kind: str, code: str | None, text: str) -> str:
        if (marks := _MARKS.search(text)) is not None and marks[2] in self.names:
            return f"{tag} {kind} [{self._named(marks[0])}] ~"
        return f"{tag} {kind} [{code}~" if code in _CODES else f"{tag} {kind} ~"

    def _essence(self, text: str) -> str | None:
        if text.startswith("+"):
            return "+ ~"
        if (found := re.match(r"\* OK \[(COPYUID|APPENDUID) ", text)) is not None:
            return f"{found[0]}~"
        if text.startswith("* OK [") and (named := self._named(text)) != text:
            return f"{named.partition(']')[0]}] ~"
        if _KEPT.match(text) is None:
            return None
        if text.startswith("* BYE"):
            return "* BYE ~"
        text = re.sub(r'^(\* (?:X?LIST|LSUB) )\(.*?\) (?:".*?"|NIL) ', r"\1(~) ~ ", text)
        text = re.sub(r"FLAGS \((.*?)\)", lambda found: "FLAGS (" + re.sub(r" ?\\Recent", "", found[1]) + "~)", text)
        text = re.sub(r'INTERNALDATE ".*?"', "INTERNALDATE ~", text)
        text = re.sub(r"(EMAILID|THREADID) \(.*?\)", r"\1 ~", self._named(text))
        text = re.sub(r"(MODSEQ|UIDVALIDITY) (\(?)\d+", r"\1 \2~", text)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}~"

    def _named(self, text: str) -> str:
        """A number has a name where a client said it; else it may be any."""

        def name(found: re.Match[str]) -> str:
            number = found[2]
            return found[0].replace(number, f"{{{self.names[number]}}}") if number in self.names else found[0]

        return _MARKS.sub(name, text)

    def _say(self, line: Line) -> None:
        session = self._session(line.session)
        data = line.data.removesuffix(b"\r\n")
        if not session.literal:
            data = self._masked(data)
            tag, _, command = data.partition(b" ")
            asked = command.decode("latin-1").upper()
            if asked not in ("", "IDLE"):
                session.waiting[tag.decode("latin-1")] = asked
            if asked == "LOGOUT":
                session.waiting.clear()  # many do not wait for its end
            session.idle = None
            if asked == "COMPRESS DEFLATE":
                session.compress = tag.decode()
        session.literal = _LITERAL.search(line.data) is not None
        text = data.decode("latin-1").encode("unicode_escape").decode()
        if session.last == line.seconds and self.out[-1].startswith(f"{line.session}> "):
            self.out[-1] += f"\\r\\n{text}"  # in one packet
        else:
            self.out.append(f"{line.session}> {text}")
        session.last = line.seconds
        session.said.pop(0)

    def _masked(self, data: bytes) -> bytes:
        account, password = self.account.encode(), self.password.encode()
        for who, name in ((account, b"{plain_as}"), (b"", b"{plain}")):  # RFC 4616: with the name to act as, or without
            data = data.replace(base64.b64encode(b"%b\0%b\0%b" % (who, account, password)), name)
        data = data.replace(account, b"{account}").replace(password, b"{password}")
        for number, name in self.names.items():
            if _ASKED.search(data) or len(number) > 4:
                data = re.sub(rb"\b%b\b" % number.encode(), b"{%b}" % name.encode(), data)
        return data
