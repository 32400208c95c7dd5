"""Changes to a zone by its own name server (RFC 2136), signed with a key that it knows (RFC 8945)."""

import re
from dataclasses import dataclass, field

import dns.asyncquery
import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update

from mailstack.net.dns import nameserver

SECONDS = 15.0
STRING_LIMIT = 255  # octets of one string in a TXT record (RFC 1035 3.3.14)
ALGORITHMS = ("hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1")  # RFC 8945 6


class UpdateProblem(Exception):
    """Why a zone was not changed; for the admin."""


@dataclass(frozen=True, slots=True)
class TsigKey:
    name: str
    secret: str = field(repr=False)  # base64
    algorithm: str = ALGORITHMS[0]


@dataclass(frozen=True, slots=True)
class Change:
    """Records of one name and kind: what goes, then what comes. Values as a zone file has them; those of TXT as the text.

    `remove`: None takes all of this name and kind away.
    """

    name: str
    kind: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] | None = ()
    ttl: int = 3600


def parse_key(text: str) -> TsigKey:
    """A key as BIND's tsig-keygen writes it (key "name" { algorithm ...; secret "..."; };), or name:secret on one line.

    Raises UpdateProblem, whose text never shows the secret.
    """
    found = re.search(r'key\s+"?([^\s"{]+)"?\s*\{([^}]*)\}', text)
    if found is None:
        name, _, secret = text.strip().rpartition(":")
        algorithm, _, name = name.rpartition(":")
        return _checked(TsigKey(name, secret, algorithm or ALGORITHMS[0]))
    inside = dict(re.findall(r'(algorithm|secret)\s+"?([^\s";]+)"?\s*;', found[2]))
    return _checked(TsigKey(found[1], inside.get("secret", ""), inside.get("algorithm", ALGORITHMS[0])))


def _checked(key: TsigKey) -> TsigKey:
    if not key.name or not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", key.secret):
        raise UpdateProblem("no TSIG key: it is written as tsig-keygen prints it, or as name:secret on one line")
    if key.algorithm.lower().rstrip(".") not in ALGORITHMS:
        raise UpdateProblem(f"{key.algorithm} is not one of {', '.join(ALGORITHMS)}")
    return TsigKey(key.name, key.secret, key.algorithm.lower().rstrip("."))


class Updater:
    """One name server that takes changes. `server`: "address" or "address:port"."""

    def __init__(self, server: str, key: TsigKey | None = None) -> None:
        self._address, self._port = nameserver(server)
        self.server = server
        self._key = key

    async def change(self, zone: str, changes: list[Change], seconds: float = SECONDS) -> None:
        """All of them, or none. Raises UpdateProblem."""
        message = self._message(zone, changes)
        try:
            answer = await dns.asyncquery.tcp(message, self._address, timeout=seconds, port=self._port)
        except dns.tsig.PeerError as problem:
            raise UpdateProblem(f"{self.server} does not take our TSIG key: {type(problem).__name__}") from problem
        except dns.exception.FormError as problem:
            raise UpdateProblem(f"{self.server} does not sign its answer: it may not know our TSIG key") from problem
        except (dns.exception.DNSException, OSError, EOFError) as problem:
            raise UpdateProblem(f"{self.server}: {problem or type(problem).__name__}") from problem
        if answer.rcode() != dns.rcode.NOERROR:
            raise UpdateProblem(f"{self.server} refuses to change {zone}: {_words(answer.rcode())}")

    def _message(self, zone: str, changes: list[Change]) -> dns.update.UpdateMessage:
        message = dns.update.UpdateMessage(dns.name.from_text(zone))
        try:
            for change in changes:
                _put(message, change)
        except (dns.exception.DNSException, ValueError) as problem:
            raise UpdateProblem(f"{zone}: {problem}") from problem
        if self._key is not None:
            ring = {dns.name.from_text(self._key.name): dns.tsig.Key(self._key.name, self._key.secret, self._key.algorithm)}
            message.use_tsig(ring)
        return message


def _put(message: dns.update.UpdateMessage, change: Change) -> None:
    name = dns.name.from_text(change.name)
    if change.remove is None:
        message.delete(name, change.kind)
    for value in change.remove or ():
        message.delete(name, _data(change.kind, value))
    for value in change.add:
        message.add(name, change.ttl, _data(change.kind, value))


def _data(kind: str, value: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(kind), quoted(value) if kind == "TXT" else value)


def quoted(text: str) -> str:
    """A text as strings of at most 255 octets, as a zone file has them."""
    octets = text.encode()
    pieces = [octets[place : place + STRING_LIMIT] for place in range(0, len(octets), STRING_LIMIT)] or [b""]
    return " ".join('"' + "".join(_character(one) for one in piece) + '"' for piece in pieces)


def _character(octet: int) -> str:
    if octet in b'"\\':
        return "\\" + chr(octet)
    return chr(octet) if 32 <= octet < 127 else f"\\{octet:03d}"


def _words(code: dns.rcode.Rcode) -> str:
    meanings = {
        dns.rcode.REFUSED: "it may not be changed with this key",
        dns.rcode.NOTAUTH: "the key is not known there, or it does not hold this zone",
        dns.rcode.NOTZONE: "a name is not in this zone",
    }
    text = dns.rcode.to_text(code)
    return f"{text} ({meanings[code]})" if code in meanings else text
