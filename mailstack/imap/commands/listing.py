"""LIST with its extensions (RFC 9051 6.3.9, RFC 5258, RFC 5819, RFC 6154), and LSUB."""

import re

from mailstack.imap.commands.mailbox import status_items
from mailstack.imap.session import Session
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.values import MailboxInfo
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.responses import mailbox as shown_name


def matcher(reference: str, pattern: str) -> re.Pattern[str]:
    """`*` is anything, `%` anything but the separator."""
    text = reference + pattern
    parts = [".*" if piece == "*" else "[^/]*" if piece == "%" else re.escape(piece) for piece in re.split(r"([*%])", text)]
    whole = "".join(parts)
    if text[:6].upper().startswith("INBOX"[: len(text)]) and text[:5].upper() == "INBOX":
        whole = "INBOX" + "".join(parts)[5:] if not text[:5].count("*") else whole
    return re.compile(re.sub(r"(?:\.\*)+", ".*", whole), re.DOTALL)


async def list_mailboxes(session: Session, command: c.ListMailboxes) -> str:
    if command.patterns == ("",) and not command.extended:
        session.write(b'* LIST (\\Noselect) "/" ""\r\n')
        return "LIST done"
    await session.mail.refresh()
    known = {info.name: info for info in await session.mail.listing()}
    subscribed = session.mail.subscriptions()
    if "SUBSCRIBED" in command.select:
        for name in subscribed - known.keys():
            known[name] = MailboxInfo(name, False, True, None, False)
    patterns = [matcher(command.reference, pattern) for pattern in command.patterns]
    chosen = [info for info in known.values() if any(pattern.fullmatch(info.name) for pattern in patterns)]
    lines: list[tuple[MailboxInfo, str]] = []
    for info in sorted(chosen, key=lambda info: (info.name != "INBOX", info.name)):
        below = [other for other in known.values() if other.name.startswith(f"{info.name}/")]
        selected = _is_selected(info, command)
        inside = any(_is_selected(other, command) and not any(p.fullmatch(other.name) for p in patterns) for other in below)
        recursive = "RECURSIVEMATCH" in command.select
        if selected or (recursive and inside):
            kinds = " ".join(f'"{kind}"' for kind in ("SUBSCRIBED",) if kind in command.select)
            lines.append((info, f' ("CHILDINFO" ({kinds}))' if recursive and inside and kinds else ""))
    for info, more in lines:
        shown = shown_name(info.name, utf8=session.utf8)
        session.write(b'* LIST (%b) "/" %b%b\r\n' % (_attributes(info, command).encode(), shown, more.encode()))
        if command.status and info.selectable:
            try:
                found = await session.mail.status(info.name)
            except NoSuchMailbox:
                continue
            values = status_items(found, command.status, session.services.message_size)
            session.write(b"* STATUS %b (%b)\r\n" % (shown, values.encode()))
        await session.connection.drain()
    return "LIST done"


def _is_selected(info: MailboxInfo, command: c.ListMailboxes) -> bool:
    if "SUBSCRIBED" in command.select and not info.subscribed:
        return False
    return not ("SPECIAL-USE" in command.select and info.special_use is None)


def _attributes(info: MailboxInfo, command: c.ListMailboxes) -> str:
    found = []
    if not info.selectable:
        found.append("\\NonExistent" if command.extended else "\\Noselect")
    found.append("\\HasChildren" if info.children else "\\HasNoChildren")
    if info.subscribed and ("SUBSCRIBED" in command.returns or "SUBSCRIBED" in command.select):
        found.append("\\Subscribed")
    # Old clients look for special uses in a plain LIST too (RFC 6154 2 allows it).
    if info.special_use is not None:
        found.append(info.special_use.value)
    return " ".join(found)


async def lsub(session: Session, command: c.Lsub) -> str:
    """RFC 3501 6.3.9."""
    names = session.mail.subscriptions()
    known = {info.name: info for info in await session.mail.listing()}
    pattern = matcher(command.reference, command.pattern)
    shown = {name: True for name in names if pattern.fullmatch(name)}
    if command.pattern.endswith("%"):
        for name in names:
            parts = name.split("/")
            for depth in range(1, len(parts)):
                parent = "/".join(parts[:depth])
                if pattern.fullmatch(parent):
                    shown.setdefault(parent, False)
    for name in sorted(shown, key=lambda name: (name != "INBOX", name)):
        info = known.get(name)
        attributes = [] if shown[name] else ["\\Noselect"]
        if info is not None and info.special_use is not None:
            attributes.append(info.special_use.value)
        encoded = shown_name(name, utf8=session.utf8)
        session.write(b'* LSUB (%b) "/" %b\r\n' % (" ".join(attributes).encode(), encoded))
    return "LSUB done"
