"""Text in the form in which it is compared: i;unicode-casemap (RFC 5051), which IMAP searches and sorts by (RFC 5255 4.6)."""

import unicodedata
from functools import lru_cache

# What stands between pieces of kept text can't be in a piece: these two become U+FFFD, in texts as in needles.
_RESERVED = "\0\x01"


def casemap(text: str) -> str:
    """Titlecase and decomposition of each character, again and again until nothing changes (RFC 5051 2).

    Two texts are equal for this collation when their folded forms are; a part of one is a part of the other.
    """
    if text.isascii():
        return text.upper() if text.isprintable() else text.upper().replace("\0", "\ufffd").replace("\x01", "\ufffd")
    return text.translate({ord(character): _fold_one(character) for character in set(text)})


@lru_cache(8192)
def _fold_one(character: str) -> str:
    if character in _RESERVED or "\ud800" <= character <= "\udfff":
        return "\ufffd"
    title = character.title()
    # RFC 5051 2 (1): the titlecase property of UnicodeData.txt is one character, or none.
    if len(title) != 1:
        title = character
    codes = unicodedata.decomposition(title).split()
    if not codes:
        return title
    return "".join(_fold_one(chr(int(code, 16))) for code in codes if not code.startswith("<"))
