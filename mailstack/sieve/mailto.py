"""mailto URIs (RFC 6068) as notifications use them (RFC 5436 2.3)."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from mailstack.message.address import parse_address
from mailstack.message.errors import SyntaxProblem

MOST_RECIPIENTS = 8
LENGTH = 4096  # characters of a URI
_URI = re.compile(r"[\x21-\x7e]+")
_FIELD = re.compile(r"(?:x-[!-9;-~]+|keywords|comments|importance|priority)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mailto:
    """Whom to write to, and what the URI says of the mail."""

    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    subject: str | None = None
    body: str | None = None
    fields: tuple[tuple[str, str], ...] = ()


def parse_mailto(uri: str) -> Mailto:
    """Read a URI. Raises SyntaxProblem. Fields that are not a URI's to set are left out."""
    if len(uri) > LENGTH or _URI.fullmatch(uri) is None or uri[:7].lower() != "mailto:":
        raise SyntaxProblem("no mailto URI")
    addresses, _, query = uri[7:].partition("?")
    lists: dict[str, list[str]] = {"to": _addresses(addresses), "cc": [], "bcc": []}
    texts: dict[str, str] = {}
    fields: list[tuple[str, str]] = []
    for pair in query.split("&") if query else ():
        name, sign, raw = pair.partition("=")
        if not sign:
            raise SyntaxProblem("a field without a value")
        name, value = unquote(name).lower(), unquote(raw, errors="replace")
        if name in lists:
            lists[name] += _addresses(raw)
        elif name in ("subject", "body"):
            texts.setdefault(name, value if name == "body" else " ".join(value.split()))
        elif _FIELD.fullmatch(name):
            fields.append((name, " ".join(value.split())))
    if not lists["to"] or sum(map(len, lists.values())) > MOST_RECIPIENTS:
        raise SyntaxProblem("no recipient, or too many")
    return Mailto(
        tuple(lists["to"]), tuple(lists["cc"]), tuple(lists["bcc"]), texts.get("subject"), texts.get("body"), tuple(fields)
    )


def _addresses(text: str) -> list[str]:
    return [str(parse_address(unquote(one, errors="replace").strip())) for one in text.split(",") if one]
