"""LIST with its extensions (RFC 9051 6.3.9, RFC 5258, RFC 5819, RFC 6154, RFC 8440, RFC 9590), and LSUB."""

import contextlib
import re
from collections.abc import Iterable
from types import MappingProxyType
from typing import Final

from mailstack.imap.answers import Refused
from mailstack.imap.commands.mailbox import status_items, status_of
from mailstack.imap.commands.metadata import listed_metadata, write_metadata
from mailstack.imap.listed import attributes
from mailstack.imap.places import Listed, find, listing
from mailstack.imap.session import Session
from mailstack.policy.rights import NONE, Rights, show_rights
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.values import MailboxInfo, SpecialUse
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.responses import mailbox as shown_name

PATTERN_LIMIT = 1000  # characters; the names that a pattern is held against have 255 octets
WILDCARD_LIMIT = 100
_WILDCARDS = re.compile(r"[*%]+")


def matcher(reference: str, pattern: str) -> re.Pattern[str] | None:
    """`*` is anything, `%` anything but the separator. The first fit of each piece is the one that is taken (`(?>...)`): what
    follows fits behind it if it fits at all, so that no pattern takes long. None for one that is too long: it is passed over
    (RFC 9051 6.3.9).
    """
    text = reference + pattern
    if text[:5].upper() == "INBOX":
        text = "INBOX" + text[5:]
    wild = ["*" if "*" in found else "%" for found in _WILDCARDS.findall(text)]
    if len(text) > PATTERN_LIMIT or len(wild) > WILDCARD_LIMIT:
        return None
    pieces = [re.escape(piece) for piece in _WILDCARDS.split(text)]
    out = [pieces[0]]
    last_star = max((place for place, found in enumerate(wild) if found == "*"), default=-1)
    open_group = False
    for place, (found, piece) in enumerate(zip(wild, pieces[1:], strict=True)):
        at_end = place == len(wild) - 1
        if found == "*":
            if open_group:
                out.append(")")
            # Behind the last star everything must fit up to the end: here the start is tried everywhere.
            open_group = place != last_star
            out.append(("(?>" if open_group else "") + ".*?")
            out.append(piece)
        elif at_end:
            out.append(f"[^/]*{piece}")
        else:
            out.append(f"(?>[^/]*?{piece})")
    if open_group:
        out.append(")")
    return re.compile("".join(out), re.DOTALL)


async def list_mailboxes(session: Session, command: c.ListMailboxes) -> str:
    if command.patterns == ("",) and not command.extended:
        session.write(b'* LIST (\\Noselect) "/" ""\r\n')
        return "LIST done"
    # No other's mailbox has a special use here.
    others = [] if "SPECIAL-USE" in command.select else [command.reference + pattern for pattern in command.patterns]
    known = await listing(session, others)
    subscribed = "SUBSCRIBED" in command.returns | command.select
    if "SUBSCRIBED" in command.select:
        for name in session.mail.subscriptions() - known.keys():
            known[name] = Listed(MailboxInfo(name, False, True, None, False), NONE)
    patterns = [fits for pattern in command.patterns if (fits := matcher(command.reference, pattern)) is not None]
    chosen = {name for name in known if any(pattern.fullmatch(name) for pattern in patterns)}
    recursive = "RECURSIVEMATCH" in command.select
    criteria = " ".join(f'"{option}"' for option in ("SUBSCRIBED", "SPECIAL-USE") if option in command.select)
    inside = _parents(name for name, one in known.items() if name not in chosen and _is_selected(one.info, command))
    lines: list[tuple[Listed, str]] = []
    for name in sorted(chosen, key=lambda name: (name != "INBOX", name)):
        one = known[name]
        below = recursive and name in inside
        if below or _is_selected(one.info, command):
            more = f' ("CHILDINFO" ({criteria}))' if below else ""
            lines.append((one, more))
    for one, more in lines:
        info = one.info
        shown = shown_name(info.name, utf8=session.utf8)
        words = attributes(info, subscribed=subscribed, nonexistent=command.extended or not session.rev1)
        session.write(b'* LIST (%b) "/" %b%b\r\n' % (words.encode(), shown, more.encode()))
        if "MYRIGHTS" in command.returns and info.selectable:
            session.write(b"* MYRIGHTS %b %b\r\n" % (shown, show_rights(one.rights).encode()))
        if command.metadata and info.selectable:  # RFC 9590 3: behind its LIST
            write_metadata(session, info.name, await listed_metadata(session, info.name, command.metadata))
        if command.status and info.selectable and Rights.READ in one.rights:
            with contextlib.suppress(NoSuchMailbox, Refused):
                found = await status_of(await find(session, info.name))
                values = status_items(found, command.status, session.services.message_size)
                session.write(b"* STATUS %b (%b)\r\n" % (shown, values.encode()))
        await session.connection.drain()
    return "LIST done"


def _parents(names: Iterable[str]) -> set[str]:
    """All names above."""
    found: set[str] = set()
    for name in names:
        end = name.rfind("/")
        while end > 0 and (parent := name[:end]) not in found:
            found.add(parent)
            end = name.rfind("/", 0, end)
    return found


def _is_selected(info: MailboxInfo, command: c.ListMailboxes) -> bool:
    if "SUBSCRIBED" in command.select and not info.subscribed:
        return False
    return not ("SPECIAL-USE" in command.select and info.special_use is None)


OLD_USES: Final = MappingProxyType({SpecialUse.JUNK: "\\Spam", SpecialUse.FLAGGED: "\\Starred"})


async def xlist(session: Session, command: c.Xlist) -> str:
    """The forerunner of RFC 6154, for clients from before it: LIST with INBOX and special uses in its own words."""
    pattern = matcher(command.reference, command.pattern)
    known = await listing(session, [command.reference + command.pattern])
    for name in sorted(known, key=lambda name: (name != "INBOX", name)):
        if pattern is None or not pattern.fullmatch(name):
            continue
        info = known[name].info
        words = [] if info.selectable else ["\\Noselect"]
        words.append("\\HasChildren" if info.children else "\\HasNoChildren")
        if name == "INBOX":
            words.append("\\Inbox")
        elif info.special_use is not None:
            words.append(OLD_USES.get(info.special_use, info.special_use.value))
        shown = shown_name(name, utf8=session.utf8)
        session.write(b'* XLIST (%b) "/" %b\r\n' % (" ".join(words).encode(), shown))
        await session.connection.drain()
    return "XLIST done"


async def lsub(session: Session, command: c.Lsub) -> str:
    """RFC 3501 6.3.9."""
    names = session.mail.subscriptions()
    uses = {info.name: info.special_use for info in await session.mail.listing()}
    pattern = matcher(command.reference, command.pattern)
    if pattern is None:
        return "LSUB done"
    shown = {name: True for name in names if pattern.fullmatch(name)}
    if command.pattern.endswith("%"):
        for name in names:
            parts = name.split("/")
            for depth in range(1, len(parts)):
                parent = "/".join(parts[:depth])
                if pattern.fullmatch(parent):
                    shown.setdefault(parent, False)
    for name in sorted(shown, key=lambda name: (name != "INBOX", name)):
        use = uses.get(name)
        found = [] if shown[name] else ["\\Noselect"]
        if use is not None:
            found.append(use.value)
        encoded = shown_name(name, utf8=session.utf8)
        session.write(b'* LSUB (%b) "/" %b\r\n' % (" ".join(found).encode(), encoded))
    return "LSUB done"
