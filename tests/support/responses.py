"""IMAP's responses, read strictly (RFC 9051 9, RFC 3501 9): what the grammar does not allow raises ValueError."""

import re
from dataclasses import dataclass, field

_ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+')
_TAG = re.compile(rb'[^\x00-\x20(){%*"\\+\x7f-\xff]+')
_ASTRING = re.compile(rb'[^\x00-\x20(){%*"\\\x7f-\xff]+')
_FLAG = re.compile(rb'\\?[^\x00-\x20(){%*"\\\]\x7f-\xff]+|\\\*')
_NUMBER = re.compile(rb"0|[1-9][0-9]*")
_QUOTED = re.compile(rb'"((?:[^"\\\x00\r\n\x80-\xff]|\\["\\])*)"')
_QUOTED_UTF8 = re.compile(rb'"((?:[^"\\\x00\r\n]|\\["\\])*)"')
_LITERAL = re.compile(rb"(~?)\{([0-9]+)\}\r\n")
_SET = re.compile(rb"[1-9][0-9]*(?::[1-9][0-9]*)?(?:,[1-9][0-9]*(?::[1-9][0-9]*)?)*")
_PARTIAL = re.compile(rb"\(-?[1-9][0-9]*:-?[1-9][0-9]* (NIL|[0-9:,]+)\)")
_PLACED = re.compile(rb"\(((?:[0-9]+ [0-9:,]+(?: |(?=\))))+)\)")
_SCORES = re.compile(rb"\(((?:(?:[1-9][0-9]?|100)(?: |(?=\))))*)\)")
_THREADS = re.compile(rb"[(][0-9 ()]+[)]")
_DATE_TIME = re.compile(rb'"[ 0-9][0-9]-[A-Z][a-z]{2}-[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}"')
_TEXT = re.compile(rb"[^\x00\r\n\x80-\xff]+")
_CODE = re.compile(rb"\[([A-Z0-9-]+)(?: ([^\]\r\n]+))?\] ")
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")
_SECTION = re.compile(
    rb"BODY\[((?:[1-9][0-9]*(?:\.[1-9][0-9]*)*)?"
    rb"(?:(?:(?<=\[)|(?<=[0-9])\.)(?:HEADER\.FIELDS(?:\.NOT)?|HEADER|TEXT|MIME))?)(?= \(|\])"
)
_BINARY = re.compile(rb"BINARY(\.SIZE)?\[([1-9][0-9]*(?:\.[1-9][0-9]*)*)?\]")

Value = None | int | bytes | str | list["Value"]


@dataclass
class Response:
    """One response. `kind` is `FETCH`, `EXISTS`, `OK` ...; `number` stands before it; `tag` is None when it is untagged."""

    kind: str
    tag: str | None = None
    number: int | None = None
    code: str | None = None
    data: str = ""  # of the code
    text: str = ""
    value: Value = None
    items: dict[str, Value] = field(default_factory=dict)  # of a FETCH or a STATUS


class Reader:
    def __init__(self, data: bytes, utf8: bool = False) -> None:
        self.data = data
        self.at = 0
        self.utf8 = utf8

    def fail(self, wanted: str) -> ValueError:
        return ValueError(f"{wanted} expected at {self.at}: {self.data[max(0, self.at - 60) : self.at + 60]!r}")

    def take(self, pattern: re.Pattern[bytes], wanted: str) -> re.Match[bytes]:
        found = pattern.match(self.data, self.at)
        if found is None:
            raise self.fail(wanted)
        self.at = found.end()
        return found

    def sees(self, octets: bytes) -> bool:
        return self.data.startswith(octets, self.at)

    def skip(self, octets: bytes) -> bool:
        if self.sees(octets):
            self.at += len(octets)
            return True
        return False

    def expect(self, octets: bytes) -> None:
        if not self.skip(octets):
            raise self.fail(repr(octets))

    def number(self) -> int:
        return int(self.take(_NUMBER, "number")[0])

    def positive(self) -> int:
        found = self.number()
        if found == 0:
            raise self.fail("number above 0")
        return found

    def nil(self) -> bool:
        return self.skip(b"NIL")

    def string(self, *, binary: bool = False) -> bytes:
        literal = _LITERAL.match(self.data, self.at)
        if literal is not None:
            end = literal.end() + int(literal[2])
            data = self.data[literal.end() : end]
            if end > len(self.data):
                raise self.fail("the whole literal")
            if literal[1] and not binary:
                raise self.fail("literal, not literal8")
            if b"\0" in data and not literal[1]:
                raise self.fail("literal without NUL")
            self.at = end
            return data
        found = self.take(_QUOTED_UTF8 if self.utf8 else _QUOTED, "string")[1]
        return re.sub(rb'\\(["\\])', rb"\1", found)

    def nstring(self, *, binary: bool = False) -> bytes | None:
        return None if self.nil() else self.string(binary=binary)

    def astring(self) -> bytes:
        if self.sees(b'"') or self.sees(b"{"):
            return self.string()
        return self.take(_ASTRING, "astring")[0]

    def flags(self) -> list[Value]:
        self.expect(b"(")
        found: list[Value] = []
        while not self.skip(b")"):
            if found:
                self.expect(b" ")
            found.append(self.take(_FLAG, "flag")[0].decode())
        return found

    def envelope(self) -> Value:
        self.expect(b"(")
        found: list[Value] = [self.nstring()]
        self.expect(b" ")
        found.append(self.nstring())
        for _ in range(6):
            self.expect(b" ")
            found.append(self.addresses())
        for _ in range(2):
            self.expect(b" ")
            found.append(self.nstring())
        self.expect(b")")
        return found

    def addresses(self) -> Value:
        if self.nil():
            return None
        self.expect(b"(")
        found: list[Value] = []
        while not found or not self.skip(b")"):
            self.expect(b"(")
            address: list[Value] = [self.nstring()]
            for _ in range(3):
                self.expect(b" ")
                address.append(self.nstring())
            self.expect(b")")
            found.append(address)
        return found

    def parameters(self) -> Value:
        if self.nil():
            return None
        self.expect(b"(")
        found: list[Value] = []
        while not found or not self.skip(b")"):
            if found:
                self.expect(b" ")
            found.append(self.string())
            self.expect(b" ")
            found.append(self.string())
        return found

    def extension(self) -> list[Value]:
        """Disposition, language, location."""
        found: list[Value] = []
        self.expect(b" ")
        if self.nil():
            found.append(None)
        else:
            self.expect(b"(")
            kind = self.string()
            self.expect(b" ")
            found.append([kind, self.parameters()])
            self.expect(b")")
        self.expect(b" ")
        if self.skip(b"("):
            languages: list[Value] = [self.string()]
            while not self.skip(b")"):
                self.expect(b" ")
                languages.append(self.string())
            found.append(languages)
        else:
            found.append(self.nstring())
        self.expect(b" ")
        found.append(self.nstring())
        return found

    def body(self, extended: bool) -> Value:
        """[[parts], subtype, parameters, ...] or [type, subtype, parameters, id, description, encoding, size, ...]."""
        self.expect(b"(")
        if self.sees(b"("):
            parts: list[Value] = []
            while self.sees(b"("):
                parts.append(self.body(extended))
            self.expect(b" ")
            found: list[Value] = [parts, self.string()]
            if extended:
                self.expect(b" ")
                found.append(self.parameters())
                found += self.extension()
            self.expect(b")")
            return found
        kind = self.string()
        self.expect(b" ")
        subtype = self.string()
        self.expect(b" ")
        found = [kind, subtype, self.parameters()]
        for _ in range(2):
            self.expect(b" ")
            found.append(self.nstring())
        self.expect(b" ")
        found.append(self.string())
        self.expect(b" ")
        found.append(self.number())
        if kind.lower() == b"message" and subtype.lower() in (b"rfc822", b"global"):
            self.expect(b" ")
            found.append(self.envelope())
            self.expect(b" ")
            found.append(self.body(extended))
        if kind.lower() == b"text" or len(found) > 7:
            self.expect(b" ")
            found.append(self.number())
        if extended:
            self.expect(b" ")
            found.append(self.nstring())
            found += self.extension()
        self.expect(b")")
        return found

    def fetch(self) -> dict[str, Value]:
        self.expect(b"(")
        found: dict[str, Value] = {}
        while not found or not self.skip(b")"):
            if found:
                self.expect(b" ")
            name, value = self.fetch_item()
            if name in found:
                raise self.fail(f"one {name}")
            found[name] = value
        return found

    def fetch_item(self) -> tuple[str, Value]:
        section = _SECTION.match(self.data, self.at)
        if section is not None:
            start, self.at = self.at, section.end()
            if b"HEADER.FIELDS" in section[1]:
                self.expect(b" (")
                self.astring()
                while not self.skip(b")"):
                    self.expect(b" ")
                    self.astring()
            self.expect(b"]")
            if self.skip(b"<"):
                self.number()
                self.expect(b">")
            name = self.data[start : self.at].decode()
            self.expect(b" ")
            return name, self.nstring()
        binary = _BINARY.match(self.data, self.at)
        if binary is not None:
            self.at = binary.end()
            name = binary[0].decode()
            if not binary[1] and self.skip(b"<"):
                name += f"<{self.number()}>"
                self.expect(b">")
            self.expect(b" ")
            return name, self.number() if binary[1] else self.nstring(binary=True)
        name = self.take(_ATOM, "FETCH item")[0].decode()
        self.expect(b" ")
        match name:
            case "UID":
                return name, self.positive()
            case "FLAGS":
                return name, self.flags()
            case "RFC822.SIZE":
                return name, self.number()
            case "INTERNALDATE":
                return name, self.take(_DATE_TIME, "date-time")[0].strip(b'"')
            case "MODSEQ":
                self.expect(b"(")
                value = self.positive()
                self.expect(b")")
                return name, value
            case "EMAILID" | "THREADID":
                return name, self.object_id()
            case "SAVEDATE":
                return name, None if self.nil() else self.take(_DATE_TIME, "date-time")[0].strip(b'"')
            case "PREVIEW":
                return name, self.nstring()
            case "ENVELOPE":
                return name, self.envelope()
            case "BODYSTRUCTURE" | "BODY":
                return name, self.body(name == "BODYSTRUCTURE")
            case "RFC822" | "RFC822.HEADER" | "RFC822.TEXT":
                return name, self.nstring()
            case _:
                raise self.fail("known FETCH item")

    def object_id(self) -> bytes:
        self.expect(b"(")
        found = self.take(_OBJECT_ID, "object id")[0]
        self.expect(b")")
        return found

    def words(self, pattern: re.Pattern[bytes] = _ATOM) -> list[Value]:
        found: list[Value] = []
        while self.skip(b" "):
            found.append(self.take(pattern, "word")[0].decode())
        return found


def parse(data: bytes, *, utf8: bool = False) -> Response:
    """One whole response with its literals and its line end."""
    reader = Reader(data, utf8)
    found = _response(reader)
    reader.expect(b"\r\n")
    if reader.at != len(data):
        raise reader.fail("end")
    return found


def _condition(reader: Reader, kind: str, tag: str | None) -> Response:
    reader.expect(b" ")
    response = Response(kind, tag)
    code = _CODE.match(reader.data, reader.at)
    if code is not None:
        response.code, response.data = code[1].decode(), (code[2] or b"").decode()
        reader.at = code.end()
    response.text = reader.take(_TEXT, "text")[0].decode()
    return response


def _response(reader: Reader) -> Response:
    if reader.skip(b"+"):
        reader.expect(b" ")
        rest = _TEXT.match(reader.data, reader.at)
        reader.at = rest.end() if rest else reader.at
        return Response("+", text=rest[0].decode() if rest else "")
    if not reader.skip(b"* "):
        tag = reader.take(_TAG, "tag")[0].decode()
        reader.expect(b" ")
        kind = reader.take(_ATOM, "condition")[0].decode()
        if kind not in ("OK", "NO", "BAD"):
            raise reader.fail("OK, NO or BAD")
        return _condition(reader, kind, tag)
    number = _NUMBER.match(reader.data, reader.at)
    if number is not None:
        value = reader.number()
        reader.expect(b" ")
        kind = reader.take(_ATOM, "response")[0].decode()
        if kind in ("EXISTS", "RECENT"):
            return Response(kind, number=value)
        if kind == "EXPUNGE" and value:
            return Response(kind, number=value)
        if kind in ("FETCH", "UIDFETCH") and value:
            reader.expect(b" ")
            return Response(kind, number=value, items=reader.fetch())
        raise reader.fail("EXISTS, RECENT, EXPUNGE or FETCH")
    kind = reader.take(_ATOM, "response")[0].decode()
    match kind:
        case "OK" | "NO" | "BAD" | "BYE" | "PREAUTH":
            return _condition(reader, kind, None)
        case "CAPABILITY" | "ENABLED":
            return Response(kind, value=reader.words())
        case "FLAGS":
            reader.expect(b" ")
            return Response(kind, value=reader.flags())
        case "LIST" | "LSUB" | "XLIST":
            return _list(reader, kind)
        case "STATUS":
            reader.expect(b" ")
            response = Response(kind, value=reader.astring())
            reader.expect(b" (")
            while not reader.skip(b")"):
                if response.items:
                    reader.expect(b" ")
                name = reader.take(_ATOM, "STATUS item")[0].decode()
                reader.expect(b" ")
                response.items[name] = reader.object_id() if name == "MAILBOXID" else reader.number()
            return response
        case "SEARCH" | "SORT":
            numbers: list[Value] = []
            while reader.skip(b" "):
                if reader.skip(b"(MODSEQ "):
                    reader.positive()
                    reader.expect(b")")
                    break
                numbers.append(reader.positive())
            return Response(kind, value=numbers)
        case "ESEARCH":
            return _esearch(reader)
        case "VANISHED":
            earlier = reader.skip(b" (EARLIER)")
            reader.expect(b" ")
            return Response(kind, code="EARLIER" if earlier else None, data=reader.take(_SET, "set")[0].decode())
        case "THREAD":
            if reader.skip(b" "):
                reader.take(_THREADS, "threads")
            return Response(kind, text=reader.data[len("* THREAD ") : reader.at].decode())
        case "METADATA":
            return _metadata(reader)
        case "QUOTAROOT":
            reader.expect(b" ")
            names: list[Value] = [reader.astring()]
            while reader.skip(b" "):
                names.append(reader.astring())
            return Response(kind, value=names)
        case "QUOTA":
            reader.expect(b" ")
            response = Response(kind, value=reader.astring())
            reader.expect(b" (")
            while not reader.skip(b")"):
                if response.items:
                    reader.expect(b" ")
                name = reader.take(_ATOM, "resource")[0].decode()
                reader.expect(b" ")
                used = reader.number()
                reader.expect(b" ")
                response.items[name] = [used, reader.number()]
            return response
        case "MYRIGHTS" | "ACL" | "LISTRIGHTS":
            words: list[Value] = []
            while reader.skip(b" "):
                words.append(reader.astring())
            if not (len(words) == 2 if kind == "MYRIGHTS" else len(words) % 2 if kind == "ACL" else len(words) >= 3):
                raise reader.fail("mailbox, identifiers and rights")
            return Response(kind, value=words)
        case "NAMESPACE":
            reader.expect(b' (("" "/")) (("Shared/" "/")) NIL')
            return Response(kind)
        case "ID":
            reader.expect(b" ")
            return Response(kind, value=reader.parameters())
        case _:
            raise reader.fail("known response")


def _list(reader: Reader, kind: str) -> Response:
    reader.expect(b" ")
    response = Response(kind, items={"attributes": reader.flags()})
    reader.expect(b' "/" ')
    response.value = reader.astring()
    if reader.skip(b' ("CHILDINFO" ('):
        kinds: list[Value] = [reader.string()]
        while not reader.skip(b"))"):
            reader.expect(b" ")
            kinds.append(reader.string())
        response.items["childinfo"] = kinds
    if reader.skip(b' ("OLDNAME" ('):
        response.items["oldname"] = reader.astring()
        reader.expect(b"))")
    return response


def _metadata(reader: Reader) -> Response:
    reader.expect(b" ")
    response = Response("METADATA", value=reader.astring())
    reader.expect(b" ")
    if not reader.skip(b"("):
        names: list[Value] = [reader.astring()]
        while reader.skip(b" "):
            names.append(reader.astring())
        response.items["changed"] = names
        return response
    while not response.items or not reader.skip(b")"):
        if response.items:
            reader.expect(b" ")
        name = reader.astring().decode()
        reader.expect(b" ")
        response.items[name] = reader.nstring(binary=True)
    return response


def _esearch(reader: Reader) -> Response:
    reader.expect(b' (TAG "')
    response = Response("ESEARCH", text=reader.take(_TAG, "tag")[0].decode())
    reader.expect(b'"')
    if reader.skip(b" MAILBOX "):
        response.value = reader.astring()
        reader.expect(b" UIDVALIDITY ")
        reader.positive()
    reader.expect(b")")
    if reader.skip(b" UID"):
        response.items["UID"] = 1
    while reader.skip(b" "):
        name = reader.take(_ATOM, "ESEARCH item")[0].decode()
        reader.expect(b" ")
        if name == "RELEVANCY":
            response.items[name] = reader.take(_SCORES, "scores")[1].decode()
        elif name in ("ADDTO", "REMOVEFROM"):
            response.items[name] = reader.take(_PLACED, "positions with sets")[1].decode()
        elif name == "PARTIAL":
            response.items[name] = reader.take(_PARTIAL, "range and set")[1].decode()
        else:
            response.items[name] = reader.take(_SET, "set")[0].decode() if name == "ALL" else reader.number()
    return response
