"""The base subject (RFC 5256 2.1): a subject without what replies, forwards and mailing lists put around it."""

import re

_BLANKS = re.compile(r"[ \t]+")
_BLOB = r"\[[^\[\]]*+\][ \t]*+"
_BLOBS = re.compile(rf"(?:{_BLOB})*+")
_LEADER = re.compile(rf"(?:{_BLOB})*+(?:re|fwd?)[ \t]*+(?:{_BLOB})?:", re.IGNORECASE)
_PLAIN = re.compile(r"[^:()\[\]]*")  # nothing in it that could be taken off
LIMIT = 4096  # characters of a subject that are looked at


def base_subject(text: str) -> tuple[str, bool]:
    """The base of a decoded, unfolded subject, and whether it is a reply's or a forward's."""
    text = _BLANKS.sub(" ", text[:LIMIT])
    if _PLAIN.fullmatch(text):
        return text.strip(" "), False
    told = False
    while True:
        text, trailed = _without_trailers(text)
        text, led = _without_leaders(text)
        told = told or trailed or led
        if not (text[:5].lower() == "[fwd:" and text.endswith("]")):
            return text, told
        text, told = text[5:-1], True


def _without_trailers(text: str) -> tuple[str, bool]:
    found = False
    while (text := text.rstrip(" ")).lower().endswith("(fwd)"):
        text, found = text[:-5], True
    return text, found


def _without_leaders(text: str) -> tuple[str, bool]:
    """Steps 3 to 5. Blobs are passed as a whole: behind none of them but the last there can be a leader."""
    position, found = 0, False
    while True:
        while text.startswith(" ", position):
            position += 1
        leader = _LEADER.match(text, position)
        if leader is None:
            break
        position, found = leader.end(), True
    blobs = _BLOBS.match(text, position)
    assert blobs is not None  # the pattern matches everywhere
    if blobs.end() < len(text):
        position = blobs.end()
    elif blobs.end() > position:  # nothing but blobs: the last of them is the subject
        position = text.rfind("[", position)
    return text[position:], found
