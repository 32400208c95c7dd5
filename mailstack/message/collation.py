"""The collation i;unicode-casemap (RFC 5051): strings that differ in case alone, or in how they are composed, are equal."""

import unicodedata


def casemap(text: str) -> str:
    """Equal, and in the same order, for strings that the collation holds equal: compare its UTF-8 octets.

    Each character by itself in title case (where that is one character), then decomposed as far as it goes.
    """
    if text.isascii():
        return text.upper()
    return unicodedata.normalize("NFKD", "".join([_title(character) for character in text]))


def _title(character: str) -> str:
    title = character.title()
    return title if len(title) == 1 else character
