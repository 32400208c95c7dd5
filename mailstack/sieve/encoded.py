"""Characters written as numbers: ${hex: 40} and ${unicode: 40} (RFC 5228 2.4.2.4)."""

import re

from mailstack.sieve.extension import Extension
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.tree import Strings

_ENCODED = re.compile(r"\$\{(hex|unicode):([0-9a-f \t\r\n]*+)\}", re.IGNORECASE)


def decoded(strings: Strings) -> Strings:
    """The strings with their encoded characters; what is not written right stays as it is. Raises SieveProblem for
    characters that there are not.
    """
    if not any("${" in text for text in strings.texts):
        return strings
    return Strings(tuple([_decoded(text, strings.line) for text in strings.texts]), strings.is_list, strings.line)


def _decoded(text: str, line: int) -> str:
    octets = bytearray()
    position = 0
    for found in _ENCODED.finditer(text):
        digits = found[2].split()
        hexadecimal = found[1].lower() == "hex"
        if not digits or (hexadecimal and max(map(len, digits)) > 2):
            continue
        octets += text[position : found.start()].encode()
        if hexadecimal:
            octets += bytes([int(pair, 16) for pair in digits])
        else:
            octets += "".join([_character(one, line) for one in digits]).encode()
        position = found.end()
    octets += text[position:].encode()
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise SieveProblem(line, "these encoded characters are no UTF-8") from None


def _character(digits: str, line: int) -> str:
    code = int(digits, 16) if len(digits.lstrip("0")) < 7 else 0x110000
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise SieveProblem(line, f"there is no character {digits[:20]}")
    return chr(code)


EXTENSION = Extension("encoded-character")
