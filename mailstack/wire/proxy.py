"""PROXY protocol, versions 1 and 2: the header in which a proxy says whom it speaks for (HAProxy's doc/proxy-protocol.txt).

Section numbers in this file are of that document. Nothing is guessed: where the header is expected, it must be there.
"""

import ipaddress
import re
import struct
from dataclasses import dataclass

from mailstack.message.errors import SyntaxProblem

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"  # 2.2
LOCAL_HEADER = SIGNATURE + b"\x20\x00\x00\x00"  # whoever sends it speaks for itself
_V1_LIMIT = 107  # 2.1
_V1 = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n")
_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n")
_FIXED = 16  # octets of a version 2 header before its addresses
_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC, _INET, _INET6, _UNIX = 0, 1, 2, 3
_STREAM, _DATAGRAM = 1, 2


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of the connection that the proxy took; IPv4 addresses are written as such also where IPv6 carries them."""

    peer: str
    peer_port: int
    local: str
    local_port: int


@dataclass(frozen=True, slots=True)
class Header:
    """`ends`: None where the proxy speaks for itself, or does not know. `size`: octets of the header; what follows is data."""

    ends: Ends | None
    size: int


def parse(data: bytes) -> Header | None:
    """The header at the start of a connection; None while it is not whole. Raises SyntaxProblem."""
    start = data[: len(SIGNATURE)]
    if SIGNATURE.startswith(start):
        return _version_2(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _version_1(data)
    raise SyntaxProblem("no PROXY header")


def _version_1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, _V1_LIMIT)
    if end < 0:
        if len(data) >= _V1_LIMIT or b"\n" in data:
            raise SyntaxProblem("a PROXY line without its end")
        return None
    line = data[: end + 2]
    if _UNKNOWN.fullmatch(line):
        return Header(None, len(line))
    found = _V1.fullmatch(line)
    if found is None:
        raise SyntaxProblem("a PROXY line that is none")
    ports = int(found[4]), int(found[5])
    if max(ports) > 65535:
        raise SyntaxProblem("a port above 65535")
    peer, local = (_address(text.decode(), int(found[1])) for text in (found[2], found[3]))
    return Header(Ends(peer, ports[0], local, ports[1]), len(line))


def _address(text: str, version: int) -> str:
    try:
        address = ipaddress.IPv4Address(text) if version == 4 else ipaddress.IPv6Address(text)
    except ValueError:
        raise SyntaxProblem(f"no IPv{version} address") from None
    return _plain(address)


def _plain(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """A listener for both families shows IPv4 as ::ffff:192.0.2.1."""
    return str(getattr(address, "ipv4_mapped", None) or address)


def _version_2(data: bytes) -> Header | None:
    if len(data) > 12 and data[12] not in (_LOCAL, _PROXY):
        raise SyntaxProblem("not version 2, or a command that is not known")
    if len(data) < _FIXED:
        return None
    family, transport = data[13] >> 4, data[13] & 15
    if family > _UNIX or transport > _DATAGRAM:
        raise SyntaxProblem("a family or transport that is not known")
    size = _FIXED + int.from_bytes(data[14:16])
    if len(data) < size:
        return None
    # What stands behind the addresses (TLVs) is passed over; so is all that is no TCP connection (2.2).
    if data[12] == _LOCAL or transport != _STREAM or family not in (_INET, _INET6):
        return Header(None, size)
    form, kind = ("!4s4sHH", ipaddress.IPv4Address) if family == _INET else ("!16s16sHH", ipaddress.IPv6Address)
    if size - _FIXED < struct.calcsize(form):
        raise SyntaxProblem("addresses that are cut off")
    peer, local, peer_port, local_port = struct.unpack_from(form, data, _FIXED)
    return Header(Ends(_plain(kind(peer)), peer_port, _plain(kind(local)), local_port), size)
