"""SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314 7)."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.scanner import Scanner

IDENTIFIER_LIMIT = 1000  # characters


def _identifier(scanner: Scanner) -> str:
    scanner.space()
    text = scanner.astring_text()
    if not text or len(text) > IDENTIFIER_LIMIT or not text.isprintable():
        raise SyntaxProblem("not an identifier")
    return text


def _set_acl(scanner: Scanner) -> c.Command:
    scanner.space()
    mailbox = scanner.mailbox()
    identifier = _identifier(scanner)
    scanner.space()
    text = scanner.astring_text()
    sign = text[:1] if text[:1] in ("+", "-") else ""
    letters = text[len(sign) :]
    if letters and not (letters.isascii() and letters.isalnum() and letters == letters.lower()):
        raise SyntaxProblem("rights are lower case letters")
    return c.SetAcl(mailbox, identifier, sign, letters)


def _with_identifier(make: Callable[[str, str], c.Command]) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        scanner.space()
        mailbox = scanner.mailbox()
        return make(mailbox, _identifier(scanner))

    return read


def _alone(make: Callable[[str], c.Command]) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        scanner.space()
        return make(scanner.mailbox())

    return read


ACL_COMMANDS: Final = MappingProxyType[str, Callable[[Scanner], c.Command]](
    {
        "SETACL": _set_acl,
        "DELETEACL": _with_identifier(c.DeleteAcl),
        "GETACL": _alone(c.GetAcl),
        "LISTRIGHTS": _with_identifier(c.ListRights),
        "MYRIGHTS": _alone(c.MyRights),
    }
)
