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
_TAGGED = re.compile(r"(\S+) (OK|NO|BAD)(?: \[([A-Z-]+))?")
_KEPT = re.compile(r"\* (?:\d+ (?:EXISTS|EXPUNGE|FETCH)\b|VANISHED|SEARCH|SORT|ESEARCH|ENABLED|BYE|STATUS|(?:X?LIST|LSUB) )")
_MARKS = re.compile(r"(HIGHESTMODSEQ|MODSEQ|UIDVALIDITY) \(?(\d+)")
_ASKED = re.compile(rb"\b(?:CHANGEDSINCE|UNCHANGEDSINCE) (\d+)|QRESYNC \((\d+) (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    session: int
    seconds: float
    data: bytes  # a line with its CRLF; a literal's octets stand with the line that follows them


@dataclass(slots=True)
class Session:
    answers: list[Line] = field(default_factory=list)
    waiting: set[str] = field(default_factory=set)  # tags
    literal: bool = False  # what comes next from the client begins with one
    said: float = -1.0  # when it said something last


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
            while session.answers and (
                session.answers[0].seconds < line.seconds or (session.waiting and number != line.session)
            ):
                self._answer(number)

    def _answer(self, number: int) -> None:
        session = self.sessions[number]
        line = session.answers.pop(0)
        text = line.data.decode("utf-8", "replace").rstrip("\r\n")
        if (found := _TAGGED.match(text)) and (found[1] in session.waiting or found[2] != "OK"):
            session.waiting.discard(found[1])
        if (kept := self._essence(text)) is not None:
            self.out.append(f"{number}<~ {kept}")

    def _essence(self, text: str) -> str | None:
        if found := _TAGGED.match(text):
            code = f" [{found[3]}" if found[3] in ("APPENDUID", "COPYUID", "NONEXISTENT", "ALREADYEXISTS", "TRYCREATE") else ""
            return self._named(text) if "HIGHESTMODSEQ" in text else f"{found[1]} {found[2]}{code} ~"
        if text.startswith("+"):
            return "+ ~"
        if text.startswith("* OK [") and self._named(text) != text:
            return self._named(text)
        if text.startswith("* OK ") and not self.out:
            return "* OK ~"
        if _KEPT.match(text) is None:
            return None
        text = re.sub(r'^(\* (?:X?LIST|LSUB) )\(.*?\) (?:".*?"|NIL) ', r"\1(~) ~ ", text)
        text = re.sub(r" ?\\Recent\b", "~", text)
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
            if command.upper() != b"IDLE" and command:
                session.waiting.add(tag.decode())
            if command.upper() == b"LOGOUT":
                session.waiting.clear()  # many do not wait for its end
        session.literal = _LITERAL.search(line.data) is not None
        text = data.decode("latin-1").encode("unicode_escape").decode()
        if session.said == line.seconds and self.out[-1].startswith(f"{line.session}> "):
            self.out[-1] += f"\\r\\n{text}"  # in one packet
        else:
            self.out.append(f"{line.session}> {text}")
        session.said = line.seconds

    def _masked(self, data: bytes) -> bytes:
        account, password = self.account.encode(), self.password.encode()
        data = data.replace(base64.b64encode(b"\0%b\0%b" % (account, password)), b"{plain}")
        data = data.replace(account, b"{account}").replace(password, b"{password}")
        for number, name in self.names.items():
            if _ASKED.search(data) or len(number) > 4:
                data = re.sub(rb"\b%b\b" % number.encode(), b"{%b}" % name.encode(), data)
        return data
