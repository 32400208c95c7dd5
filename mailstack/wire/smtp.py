"""SMTP's words: parameters of MAIL and RCPT, and replies both ways (RFC 5321, RFC 3461)."""

import re
from dataclasses import dataclass

from mailstack.message.address import Address, parse_path
from mailstack.message.envelope import Body, Notify, Return
from mailstack.message.errors import SyntaxProblem

_PATH = re.compile(r"(<(?:[^<>\"]|\"(?:[^\"\\]|\\.)*\")*>)(?: +(.*))?", re.DOTALL)
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f]+))?")
_XTEXT = re.compile(r"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*")
_ESCAPE = re.compile(r"\+([0-9A-F]{2})")
_CODE = re.compile(rb"([2-5][0-9]{2})([ -]?)(.*)", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")
_BREAK = re.compile(r"\r\n|\r|\n")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
LINE_LIMIT = 4096
REPLY_LIMIT = 100


class UnknownParameter(SyntaxProblem):
    """A parameter that is not known here: 555."""


@dataclass(frozen=True, slots=True)
class MailParameters:
    """What MAIL FROM says beside the sender."""

    size: int | None = None
    body: Body = Body.EIGHTBIT
    smtputf8: bool = False
    ret: Return | None = None
    envelope_id: str | None = None
    require_tls: bool = False  # RFC 8689 2


@dataclass(frozen=True, slots=True)
class RcptParameters:
    notify: Notify | None = None
    original: str | None = None


def decode_xtext(text: str) -> str:
    """RFC 3461 4. Raises SyntaxProblem."""
    if _XTEXT.fullmatch(text) is None:
        raise SyntaxProblem("not xtext")
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def encode_xtext(text: str) -> str:
    """What was decoded comes out as it was; a character that is no octet becomes those of its UTF-8."""
    return "".join(
        character
        if "!" <= character <= "~" and character not in "+="
        else "".join(f"+{octet:02X}" for octet in character.encode("latin-1" if character <= "\xff" else "utf-8"))
        for character in text
    )


def _split(text: str) -> tuple[str, dict[str, str | None]]:
    found = _PATH.fullmatch(text.rstrip())
    if found is None:
        raise SyntaxProblem("a path in angle brackets is expected")
    parameters: dict[str, str | None] = {}
    for piece in (found[2] or "").split():
        one = _PARAMETER.fullmatch(piece)
        if one is None:
            raise SyntaxProblem("malformed parameter")
        name = one[1].upper()
        if name in parameters:
            raise SyntaxProblem("a parameter is given twice")
        parameters[name] = one[2]
    return found[1], parameters


def parse_mail_from(text: str) -> tuple[Address | None, MailParameters]:
    """What follows `MAIL FROM:`. Raises SyntaxProblem, UnknownParameter."""
    path, parameters = _split(text)
    size: int | None = None
    body, smtputf8, ret, envelope_id, require_tls = Body.EIGHTBIT, False, None, None, False
    for name, value in parameters.items():
        match name:
            case "SIZE" if value is not None and value.isascii() and value.isdigit() and len(value) <= 20:
                size = int(value)
            case "BODY" if value is not None and value.upper() in ("7BIT", "8BITMIME"):
                body = Body(value.upper())
            case "SMTPUTF8" if value is None:
                smtputf8 = True
            case "REQUIRETLS" if value is None:
                require_tls = True
            case "RET" if value is not None and value.upper() in ("FULL", "HDRS"):
                ret = Return(value.upper())
            case "ENVID" if value is not None and len(value) <= 100:
                envelope_id = decode_xtext(value)
            case "AUTH" if value is not None:
                decode_xtext(value)  # RFC 4954 5: accepted, and not trusted
            case "SIZE" | "BODY" | "SMTPUTF8" | "RET" | "ENVID" | "AUTH" | "REQUIRETLS":
                raise SyntaxProblem(f"{name} has no such value")
            case _:
                raise UnknownParameter(f"{name} is not supported")
    address = parse_path(path)
    if address is not None and address.needs_smtputf8 and not smtputf8:
        raise SyntaxProblem("a UTF-8 address needs SMTPUTF8")
    return address, MailParameters(size, body, smtputf8, ret, envelope_id, require_tls)


def parse_rcpt_to(text: str, *, smtputf8: bool) -> tuple[Address, RcptParameters]:
    """What follows `RCPT TO:`. `<postmaster>` comes back with an empty domain. Raises SyntaxProblem, UnknownParameter."""
    path, parameters = _split(text)
    notify: Notify | None = None
    original: str | None = None
    for name, value in parameters.items():
        match name:
            case "NOTIFY" if value is not None:
                words = value.upper().split(",")
                if len(set(words)) != len(words) or ("NEVER" in words and len(words) > 1):
                    raise SyntaxProblem("NOTIFY has no such value")
                try:
                    notify = Notify(0)
                    for word in words:
                        notify |= Notify[word]
                except KeyError:
                    raise SyntaxProblem("NOTIFY has no such value") from None
            case "ORCPT" if value is not None and ";" in value and len(value) <= 500:
                kind, _, address = value.partition(";")
                original = f"{kind};{decode_xtext(address)}"
            case "NOTIFY" | "ORCPT":
                raise SyntaxProblem(f"{name} has no such value")
            case _:
                raise UnknownParameter(f"{name} is not supported")
    if path.lower() == "<postmaster>":
        return Address("postmaster", ""), RcptParameters(notify, original)
    address_found = parse_path(path)
    if address_found is None:
        raise SyntaxProblem("a recipient can't be empty")
    if address_found.needs_smtputf8 and not smtputf8:
        raise SyntaxProblem("a UTF-8 address needs SMTPUTF8")
    return address_found, RcptParameters(notify, original)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: code, enhanced code (RFC 3463) or None, and its words."""

    code: int
    enhanced: str | None
    text: str

    @property
    def permanent(self) -> bool:
        return self.code >= 500

    @property
    def positive(self) -> bool:
        """Done. 3xx asks for more and is not it."""
        return 200 <= self.code < 300

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced + ' ' if self.enhanced else ''}{self.text}"

    def render(self) -> bytes:
        """On the wire: a line for each of its text's (RFC 5321 4.2.1), and nothing in them that would begin another."""
        lines = [_CONTROLS.sub(" ", line) for line in _BREAK.split(self.text)]
        status = f"{self.enhanced} " if self.enhanced else ""
        rendered = [f"{self.code}{' ' if line is lines[-1] else '-'}{status}{line}\r\n" for line in lines]
        return "".join(rendered).encode("utf-8", "replace")


class ReplyParser:
    """Replies of another host, line by line. Raises SyntaxProblem on what is no reply."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._code = 0

    def line(self, data: bytes) -> Reply | None:
        """Take one line; the reply when it was the last."""
        found = _CODE.fullmatch(data.rstrip(b"\r\n"))
        if found is None or len(self._lines) >= REPLY_LIMIT:
            raise SyntaxProblem("not an SMTP reply")
        if self._lines and int(found[1]) != self._code:
            raise SyntaxProblem("the reply changes its code")
        self._code = int(found[1])
        self._lines.append(found[3].decode("utf-8", "replace"))
        if found[2] == b"-":
            return None
        lines, self._lines = self._lines, []
        enhanced = _ENHANCED.match(lines[0])
        if enhanced is not None:
            lines = [one.removeprefix(enhanced[1]).lstrip() for one in lines]
        return Reply(self._code, enhanced[1] if enhanced else None, "\n".join(lines))


def parse_ehlo(reply: Reply) -> dict[str, str]:
    """EHLO keywords in upper case with their parameters."""
    found: dict[str, str] = {}
    for line in reply.text.split("\n")[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        found.setdefault(keyword.upper().partition("=")[0], parameters.strip())
    return found
