"""What a reader sees of HTML, as one text to search in. One pass, linear in its input, whatever that is."""

import html
import re

_TAG = re.compile(r"/?([a-zA-Z][a-zA-Z0-9]*)")
_BLANKS = re.compile(r"[ \t\r\n\f]+")
# What names a target or stands in an image's place is looked for, too.
_ATTRIBUTE = re.compile(r"""\b(?:href|alt|title)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_UNSEEN = frozenset({"script", "style"})
# Inside a word these end nothing: hel<b>lo</b>. All others stand between words.
_INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite code dfn em font i ins kbd mark q s samp small span strike strong sub sup tt u var wbr".split()  # noqa: E501, SIM905
)


def to_text(source: str) -> str:
    """Text with runs of blanks as one blank, and after a line break the values of href, alt and title."""
    first, *pieces = source.split("<")
    shown, values = [first], []
    until = ""  # what ends the stretch that is not shown: `/script`, `-->`
    for piece in pieces:
        if until == "-->":
            _, found, rest = piece.partition("-->")
            if found:
                until = ""
                shown.append(rest)
            continue
        if until and piece[: len(until)].lower() != until:
            continue
        until = ""
        if piece.startswith("!--"):
            _, found, rest = piece[3:].partition("-->")
            until = "" if found else "-->"
            shown.append(rest)
            continue
        tag = _TAG.match(piece)
        inside, found, rest = piece.partition(">")
        if not found or (tag is None and piece[:1] not in ("!", "?")):
            shown.append("<" + piece)  # no tag: text with a sign in it
            continue
        name = tag[1].lower() if tag is not None else ""
        if name in _UNSEEN and not inside.startswith("/"):
            until = "/" + name
            continue
        if "=" in inside:
            values += [one or other for one, other in _ATTRIBUTE.findall(inside)]
        shown.append(rest if name in _INLINE else " " + rest)
    text = _BLANKS.sub(" ", html.unescape("".join(shown))).strip(" ")
    return "\n".join([text, *map(html.unescape, values)])
