"""Octets to text, whatever a mail claims about its character set."""

import codecs
import re

# Codecs of Python that are no character sets of mail, or whose cost grows faster than their input.
_NOT_MAIL = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"})
_NAME = re.compile(r"[A-Za-z0-9._:+-]{1,40}")
# Names in use that Python does not know or that are wider in practice than their definition.
_ALIASES = {
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "x-sjis": "cp932",
    "ks_c_5601-1987": "cp949",
    "gb2312": "gb18030",
}


def decode(octets: bytes, charset: str | None) -> str:
    """Text of `octets`. Never raises: an unknown or missing charset is read as UTF-8, else as Latin-1; what does not fit
    becomes U+FFFD.
    """
    codec = _codec(charset) if charset else None
    if codec is not None:
        try:
            return octets.decode(codec, "replace")
        except (UnicodeError, LookupError):
            pass  # a codec that refuses even to replace
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _codec(charset: str) -> str | None:
    name = charset.strip().lower()
    if _NAME.fullmatch(name) is None:
        return None
    name = _ALIASES.get(name, name)
    if name in ("us-ascii", "ascii"):
        return None  # 8-bit octets under this name are mostly UTF-8
    try:
        found = codecs.lookup(name).name
    except LookupError:
        return None
    return None if found.replace("-", "_") in _NOT_MAIL else found
