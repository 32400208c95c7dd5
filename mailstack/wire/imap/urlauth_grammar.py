"""GENURLAUTH, RESETKEY, URLFETCH (RFC 4467 9)."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.scanner import Scanner

URLS_AT_ONCE = 50


def _generate(scanner: Scanner) -> c.Command:
    urls: list[tuple[str, str]] = []
    while scanner.skip(b" "):
        url = scanner.astring_text()
        scanner.space()
        urls.append((url, scanner.word()))
        _bound(urls)
    if not urls:
        raise SyntaxProblem("GENURLAUTH needs a URL")
    return c.GenUrlAuth(tuple(urls))


def _reset(scanner: Scanner) -> c.Command:
    if not scanner.skip(b" "):
        return c.ResetKey(None)
    mailbox = scanner.mailbox()
    mechanisms: list[str] = []
    while scanner.skip(b" "):
        mechanisms.append(scanner.word())
    return c.ResetKey(mailbox, tuple(mechanisms))


def _fetch(scanner: Scanner) -> c.Command:
    urls: list[str] = []
    while scanner.skip(b" "):
        urls.append(scanner.astring_text())
        _bound(urls)
    if not urls:
        raise SyntaxProblem("URLFETCH needs a URL")
    return c.UrlFetch(tuple(urls))


def _bound(urls: list[str] | list[tuple[str, str]]) -> None:
    if len(urls) > URLS_AT_ONCE:
        raise SyntaxProblem("too many URLs")


URLAUTH_COMMANDS: Final = MappingProxyType[str, Callable[[Scanner], c.Command]](
    {"GENURLAUTH": _generate, "RESETKEY": _reset, "URLFETCH": _fetch}
)
