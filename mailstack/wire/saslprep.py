"""SASLprep (RFC 4013): the one form of a password that SCRAM hashes, however a keyboard made its letters."""

import stringprep
import unicodedata

_PROHIBITED = (
    stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
    stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8, stringprep.in_table_c9,
)  # fmt: skip


def saslprep(text: str) -> str:
    """The prepared form; what the profile prohibits stays as it is, as most clients do."""
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(one) else one for one in text if not stringprep.in_table_b1(one)
    )  # RFC 4013 2.1
    prepared = unicodedata.normalize("NFKC", mapped)
    return prepared if _permitted(prepared) else text


def _permitted(text: str) -> bool:
    """RFC 4013 2.3 and 2.4 (RFC 3454 6: right to left)."""
    if not text or any(test(one) for one in text for test in _PROHIBITED):
        return False
    if not any(stringprep.in_table_d1(one) for one in text):
        return True
    if any(stringprep.in_table_d2(one) for one in text):
        return False
    return stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
