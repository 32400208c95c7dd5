"""How texts are compared (RFC 4790): equality by a folded form, order by a key."""

from collections.abc import Callable
from dataclasses import dataclass

from mailstack.message.collation import casemap


@dataclass(frozen=True, slots=True)
class Comparator:
    """`fold` makes equal what counts as equal; `key` sorts. Parts of texts are looked for in folded ones."""

    name: str
    fold: Callable[[str], str]
    key: Callable[[str], tuple[int, str]]
    parts: bool = True  # knows substrings


def ascii_casemap(text: str) -> str:
    """RFC 4790 9.2: ASCII letters as capitals; as many characters as before."""
    if text.isascii():
        return text.upper()
    return text.encode("utf-8", "surrogatepass").upper().decode("utf-8", "surrogatepass")


def octets(text: str) -> str:
    """RFC 4790 9.3."""
    return text


def digits(text: str) -> str:
    """RFC 4790 9.1: the digits at the beginning, without zeros in front; "" is infinity."""
    end = 0
    while end < len(text) and "0" <= text[end] <= "9":
        end += 1
    return text[:end].lstrip("0") or "0" if end else ""


def _number(text: str) -> tuple[int, str]:
    number = digits(text)
    return (len(number), number) if number else (1 << 62, "")


# The order of code points is that of their UTF-8.
CASEMAP = Comparator("i;ascii-casemap", ascii_casemap, lambda text: (0, ascii_casemap(text)))
OCTET = Comparator("i;octet", octets, lambda text: (0, text))
NUMERIC = Comparator("i;ascii-numeric", digits, _number, parts=False)
UNICODE = Comparator("i;unicode-casemap", casemap, lambda text: (0, casemap(text)))
