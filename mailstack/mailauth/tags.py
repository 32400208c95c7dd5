"""Lists of tag=value, as signatures and DNS records write them (RFC 6376 3.2)."""

import binascii

from mailstack.message.errors import SyntaxProblem

MAX_TAGS = 100


def parse_tags(text: str) -> dict[str, str]:
    """Tags in their order. Raises SyntaxProblem for what is no list, and for a tag that comes twice."""
    if text.count(";") > MAX_TAGS:
        raise SyntaxProblem("too many tags")
    found: dict[str, str] = {}
    parts = text.split(";")
    if not parts[-1].strip(" \t\r\n"):
        parts.pop()
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip(" \t\r\n")
        if not equals or not (name.isidentifier() and name.isascii()):
            raise SyntaxProblem("not a list of tag=value")
        if name in found:
            raise SyntaxProblem(f"{name}= stands twice")
        found[name] = value.strip(" \t\r\n")
    return found


def number(tags: dict[str, str], name: str, digits: int = 12) -> int | None:
    """An unsigned number; None where there is none. Raises SyntaxProblem."""
    value = tags.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= digits):
        raise SyntaxProblem(f"{name}= is no number")
    return int(value)


def octets(value: str, name: str) -> bytes:
    """Base64 with blanks and folds in it. Raises SyntaxProblem."""
    text = "".join(value.split()).rstrip("=")
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError as problem:  # binascii.Error, or what is not ASCII
        raise SyntaxProblem(f"{name}= is not base64") from problem


def words(value: str) -> list[str]:
    """What stands between colons, in lower case."""
    return [word.strip(" \t\r\n").lower() for word in value.split(":")]
