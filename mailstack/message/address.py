"""Mail addresses as SMTP knows them, in one normal form (RFC 5321 4.1.2, RFC 6531 3.3)."""

import ipaddress
import re
import unicodedata
from dataclasses import dataclass

import idna

from mailstack.message.errors import SyntaxProblem

# RFC 5321 4.5.3.1: octets of the local part, the domain, and a path without its angle brackets.
MAX_LOCAL = 64
MAX_DOMAIN = 255
MAX_ADDRESS = 254

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*)"')
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PLAIN = re.compile(rf"([A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]+)*)@({_LABEL}(?:\.{_LABEL})*)")
_ROUTE = re.compile(r"(@[^@,:\s]+(?:,@[^@,:\s]+)*):(?=.)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE = re.compile(r'(["\\])')


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox's address. `parse_address` makes it; the constructor checks nothing."""

    local: str  # without quotes, NFC, case kept
    domain: str  # A-labels in lower case, or an address literal: "[192.0.2.1]", "[IPv6:2001:db8::1]"

    def __str__(self) -> str:
        return f"{quote_local(self.local)}@{self.domain}"

    @property
    def key(self) -> str:
        """The form under which addresses are compared: the local part without case."""
        if self.local.isascii():
            return f"{self.local.lower()}@{self.domain}"
        folded = unicodedata.normalize("NFD", self.local).casefold()
        return f"{unicodedata.normalize('NFC', folded)}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a host with SMTPUTF8 can take this address (RFC 6531 3.2)."""
        return not self.local.isascii()


def quote_local(local: str) -> str:
    """The local part as it is written: a dot-string where it can be one, else a quoted string."""
    if _DOT_STRING.fullmatch(local):
        return local
    return '"' + _TO_ESCAPE.sub(r"\\\1", local) + '"'


def parse_address(text: str) -> Address:
    """Read `local@domain`. Raises SyntaxProblem. The result is in normal form, so equal mailboxes compare equal by `key`."""
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        local, domain = _split(text)
    else:
        local, domain = plain[1], plain[2].lower()
    address = Address(local, domain)
    written = quote_local(local)
    # What forwarders make of a sender is longer by their own words; it must find the way back.
    if len(written.encode()) > MAX_LOCAL and local[:5].upper() not in ("SRS0=", "SRS1="):
        raise SyntaxProblem("local part longer than 64 octets")
    if len(written.encode()) + 1 + len(domain) > MAX_ADDRESS:
        raise SyntaxProblem("address longer than 254 octets")
    return address


def parse_path(text: str) -> Address | None:
    """Read `<local@domain>`; `<>` is the null sender, None. A source route is read and dropped (RFC 5321 4.1.2, appendix C)."""
    if len(text) < 2 or text[0] != "<" or text[-1] != ">":
        raise SyntaxProblem("path without angle brackets")
    inner = text[1:-1]
    if not inner:
        return None
    if inner[0] == "@":
        route = _ROUTE.match(inner)
        if route is None:
            raise SyntaxProblem("bad source route")
        for hop in route[1].split(","):
            normalise_domain(hop[1:])
        inner = inner[route.end() :]
    return parse_address(inner)


def normalise_domain(text: str) -> str:
    """A domain as A-labels in lower case (UTS 46 mapping, then RFC 5891), an address literal in canonical form."""
    if text.startswith("["):
        return _literal(text)
    if len(text) > MAX_DOMAIN:
        raise SyntaxProblem("domain longer than 255 octets")
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
        except (UnicodeError, IndexError) as problem:
            raise SyntaxProblem("domain is not valid in IDNA 2008") from problem
    if len(text) > MAX_DOMAIN:
        raise SyntaxProblem("domain longer than 255 octets")
    if _DOMAIN.fullmatch(text) is None:
        raise SyntaxProblem("bad domain")
    return text.lower()


def is_ip(text: str) -> bool:
    """Whether it is an address of a host, without brackets, and no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _split(text: str) -> tuple[str, str]:
    if len(text) > 4 * MAX_ADDRESS:
        raise SyntaxProblem("address longer than 254 octets")
    # NFC first: it may turn a character into an ASCII one that has a meaning here.
    text = unicodedata.normalize("NFC", text)
    for character in text:
        if not character.isascii() and unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            raise SyntaxProblem("control character in address")
    if text.startswith('"'):
        quoted = _QUOTED.match(text)
        if quoted is None:
            raise SyntaxProblem("bad quoted local part")
        local = unicodedata.normalize("NFC", _ESCAPED.sub(r"\1", quoted[1]))
        end = quoted.end()
    else:
        dotted = _DOT_STRING.match(text)
        if dotted is None:
            raise SyntaxProblem("bad local part")
        local = dotted[0]
        end = dotted.end()
    if not local:
        raise SyntaxProblem("empty local part")
    if text[end : end + 1] != "@":
        raise SyntaxProblem("no @ after the local part")
    return local, normalise_domain(text[end + 1 :])


def _literal(text: str) -> str:
    """RFC 5321 4.1.3; no tag but IPv6 is registered."""
    if not text.endswith("]"):
        raise SyntaxProblem("address literal without its closing bracket")
    inner = text[1:-1]
    try:
        if inner[:5].lower() == "ipv6:":
            if "%" in inner:
                raise SyntaxProblem("address literal with a zone")
            return f"[IPv6:{ipaddress.IPv6Address(inner[5:])}]"
        return f"[{ipaddress.IPv4Address(inner)}]"
    except ipaddress.AddressValueError as problem:
        raise SyntaxProblem("bad address literal") from problem
