"""A message's flags as bits, and as the letters of a Maildir file name."""

import enum
from types import MappingProxyType
from typing import Final

KEYWORD_COUNT: Final = 26
_KEYWORD_SHIFT: Final = 8
_FOREIGN_SHIFT: Final = 34


class Flags(enum.IntFlag):
    """System flags in the lowest bits (RFC 9051 2.3.2). Bits 8..33 are the mailbox's keywords a..z, bits 34..59 are capital
    letters of other programs, which are kept and mean nothing here.
    """

    SEEN = 1
    ANSWERED = 2
    FLAGGED = 4
    DELETED = 8
    DRAFT = 16
    PASSED = 32  # resent or forwarded by another program: Maildir's P


SYSTEM: Final = Flags.SEEN | Flags.ANSWERED | Flags.FLAGGED | Flags.DELETED | Flags.DRAFT
KEYWORDS: Final = Flags(((1 << KEYWORD_COUNT) - 1) << _KEYWORD_SHIFT)

NAMES: Final = MappingProxyType(
    {
        Flags.ANSWERED: "\\Answered",
        Flags.FLAGGED: "\\Flagged",
        Flags.DELETED: "\\Deleted",
        Flags.SEEN: "\\Seen",
        Flags.DRAFT: "\\Draft",
    }
)

_SYSTEM_LETTERS = {
    "D": Flags.DRAFT,
    "F": Flags.FLAGGED,
    "P": Flags.PASSED,
    "R": Flags.ANSWERED,
    "S": Flags.SEEN,
    "T": Flags.DELETED,
}


def _letter_bits() -> dict[str, int]:
    bits = {letter: int(flag) for letter, flag in _SYSTEM_LETTERS.items()}
    for number in range(26):
        bits[chr(ord("a") + number)] = 1 << (_KEYWORD_SHIFT + number)
        bits.setdefault(chr(ord("A") + number), 1 << (_FOREIGN_SHIFT + number))
    return dict(sorted(bits.items()))


LETTERS: Final = MappingProxyType(_letter_bits())  # letter -> bit, in the order in which a file name carries them


def keyword_bit(number: int) -> Flags:
    """The bit of the mailbox's keyword `number`, 0..25."""
    if not 0 <= number < KEYWORD_COUNT:
        raise ValueError(f"keyword number {number} is not in 0..25")
    return Flags(1 << (_KEYWORD_SHIFT + number))


def keyword_numbers(flags: int) -> list[int]:
    """Which keywords are set, ascending."""
    rest = (flags & KEYWORDS) >> _KEYWORD_SHIFT
    numbers = []
    while rest:
        lowest = rest & -rest
        numbers.append(lowest.bit_length() - 1)
        rest ^= lowest
    return numbers


def from_letters(letters: str) -> Flags:
    """The bits of the letters after `:2,`. What is no ASCII letter is ignored."""
    bits = 0
    for letter in letters:
        bits |= LETTERS.get(letter, 0)
    return Flags(bits)


_OF_SYSTEM: Final = tuple("".join([letter for letter, bit in _SYSTEM_LETTERS.items() if bits & bit]) for bits in range(64))


def to_letters(flags: int) -> str:
    """The letters after `:2,`, in ASCII order as the Maildir convention asks."""
    bits = int(flags)
    if bits < len(_OF_SYSTEM):
        return _OF_SYSTEM[bits]  # what most messages have
    if bits >> _FOREIGN_SHIFT:
        return "".join([letter for letter, bit in LETTERS.items() if bits & bit])
    return _OF_SYSTEM[bits & 63] + "".join([chr(97 + number) for number in keyword_numbers(bits)])
