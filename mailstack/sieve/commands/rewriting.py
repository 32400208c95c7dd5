"""replace and enclose (RFC 5703 5, 6): a part of the message, or all of it, becomes another one."""

import hashlib
import re
from email.utils import format_datetime

from mailstack.message.entity import given, plain, words
from mailstack.message.header import addresses, field_lines, fields, split_header
from mailstack.sieve.answering import is_own
from mailstack.sieve.bound import Bound
from mailstack.sieve.edits import Whole, apply
from mailstack.sieve.extension import Command, Extension, Kind, Tag
from mailstack.sieve.mimeparts import below
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.state import Run
from mailstack.sieve.step import Step
from mailstack.sieve.tests.header import FIELD_NAME

_ENTITY = re.compile(r"(?:[!-9;-~]+[ \t]*:|\r?\n)")  # a header, or the blank line that ends an empty one


def _replace(bound: Bound) -> Step:
    text, mime = bound.text(0), bound.has("mime")
    subject = bound.text("subject") if bound.has("subject") else None
    author = bound.text("from") if bound.has("from") else None
    if mime and (subject is not None or author is not None):
        raise bound.problem("':subject' and ':from' mean nothing beside ':mime'")
    if author is not None and author.constant is not None:
        _check(bound, author.constant)

    def entity(run: Run) -> bytes:
        found = text(run)
        if mime and _ENTITY.match(found) is None:
            raise bound.problem("the text behind :mime begins with no header")
        return given(found) if mime else plain(found)

    def replace(run: Run) -> None:
        new = entity(run)
        run.tell(bound.line, "replace")
        if run.cursors and run.cursors[-1].place > 0:
            _replace_part(run, new)
            return
        changed = {}
        if subject is not None:
            changed[b"subject"] = words(subject(run))
        if author is not None:
            who = " ".join(_check(bound, author(run)).replace("\0", "").split())  # one field, whatever is in it
            if all(one.address is not None and is_own(run, one.address, ()) for one in addresses(who.encode())):
                changed[b"from"] = who
            else:  # RFC 5703 5: what may not be there is left out, and the rest is done
                run.tell(bound.line, f"{who} is not the user's address")
        header, _ = split_header(run.whole())
        _rewrite(run, _kept(header, changed) + b"MIME-Version: 1.0\r\n" + new)

    return replace


def _check(bound: Bound, author: str) -> str:
    found = addresses(author.encode())
    if not found or any(one.address is None for one in found):
        raise bound.problem(f"{author[:100]!r} is no list of mail addresses")
    return author


def _kept(header: bytes, changed: dict[bytes, str]) -> bytes:
    """The fields but those of the structure; one that is another now stays with Original- in front of its name."""
    lines = []
    for name, raw in field_lines(header):
        if name.startswith(b"content-") or name == b"mime-version":
            continue
        line = raw if raw.endswith(b"\n") else raw + b"\r\n"
        lines.append(b"Original-" + line if name in changed else line)
    new = [f"{name.decode().title()}: {value}\r\n".encode() for name, value in changed.items()]
    return b"".join([*lines, *new])


def _replace_part(run: Run, new: bytes) -> None:
    part = run.part
    assert part is not None
    data = run.message.data
    # The line break in front of a boundary is the boundary's (RFC 2046 5.1.1).
    behind = data[part.end :]
    data = data[: part.start] + (new[:-2] if behind.startswith(b"\r\n") else new) + behind
    _rewrite(run, apply(data, [one for one in run.edits if not isinstance(one, Whole)]))


def _rewrite(run: Run, data: bytes) -> None:
    """The message, and where the loops are in it: they go into nothing that is not there any more, or that is new."""
    place = run.cursors[-1].place if run.cursors else 0
    before = len(below(run.message.parts[place]))
    run.rewrite(data)
    if not run.cursors:
        return
    run.part = run.message.parts[place]
    now = len(below(run.part))
    for cursor in run.cursors:
        cursor.end += now - before
    run.cursors[-1].next = place + now


def _enclose(bound: Bound) -> Step:
    text = bound.text(0)
    subject = bound.text("subject") if bound.has("subject") else None
    names = bound.texts("headers") if bound.has("headers") else None
    for name in names.constant or () if names is not None else ():
        _name(name, bound.line)

    def enclose(run: Run) -> None:
        data = run.whole()
        run.spend(2 * len(data))
        header, _ = split_header(data)
        wanted = [_name(name, bound.line).lower() for name in names(run)] if names is not None else []
        front = [raw for name, raw in field_lines(header) if name.decode("ascii", "replace") in wanted]
        there = {name.lower() for name, _ in fields(b"".join(front))}
        if subject is not None:
            front = [raw for raw in front if not raw.lower().startswith(b"subject")]
            front.append(f"Subject: {words(subject(run))}\r\n".encode())
        elif b"subject" not in there:
            front += [raw for name, raw in field_lines(header) if name == b"subject"][:1]
        if b"from" not in there:
            front.append(f"From: {run.environment.recipient}\r\n".encode())
        if b"date" not in there:
            front.append(f"Date: {format_datetime(run.environment.now)}\r\n".encode())
        run.tell(bound.line, "enclose")
        if run.sent_on is None:
            run.sent_on = run.edits
        for cursor in run.cursors:  # nothing is where they are
            cursor.place = cursor.next = cursor.end = 0
        run.rewrite(b"".join(front) + _around(data, plain(text(run))))
        run.part = run.message.root if run.cursors else None

    return enclose


def _name(name: str, line: int) -> str:
    if FIELD_NAME.fullmatch(name) is None:
        raise SieveProblem(line, f"{name[:100]!r} is no name of a header field")
    return name


def _around(data: bytes, text: bytes) -> bytes:
    """A message of two parts: a text, and the message as it was. Its boundary is made of it, so that it can't be in it."""
    boundary = b"=_" + hashlib.blake2b(data, digest_size=16).hexdigest().encode()
    way = b"7bit" if data.isascii() else b"8bit"
    lines = (
        b"MIME-Version: 1.0", b'Content-Type: multipart/mixed; boundary="%b"' % boundary,
        b"Content-Transfer-Encoding: " + way, b"", b"--" + boundary, text.removesuffix(b"\r\n"), b"--" + boundary,
        b"Content-Type: message/rfc822", b"Content-Transfer-Encoding: " + way, b"", data, b"--" + boundary + b"--", b"",
    )  # fmt: skip
    return b"\r\n".join(lines)


REPLACE = Extension(
    "replace",
    commands={
        "replace": Command(
            _replace, (Kind.STRING,), (Tag("mime"), Tag("subject", Kind.STRING), Tag("from", Kind.STRING))
        )
    },
)  # fmt: skip
ENCLOSE = Extension(
    "enclose",
    commands={"enclose": Command(_enclose, (Kind.STRING,), (Tag("subject", Kind.STRING), Tag("headers", Kind.STRINGS)))},
)
