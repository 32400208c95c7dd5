"""STORE (RFC 9051 6.4.6, RFC 7162 3.1.3)."""

import asyncio

from mailstack.imap.answers import bad, no
from mailstack.imap.happening import after_flags, flags_before
from mailstack.imap.limiting import last_of
from mailstack.imap.places import not_allowed
from mailstack.imap.session import Session
from mailstack.imap.teaching import teach_marks
from mailstack.message.flag import KEYWORDS, NAMES, Flags
from mailstack.policy.rights import changeable
from mailstack.store.mailbox.values import How
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.sequence import compact

_SYSTEM = {name.lower(): flag for flag, name in NAMES.items()}
_HOW = {"+": How.ADD, "-": How.REMOVE, "": How.REPLACE}
KEYWORD_LENGTH = 100


def split_flags(names: tuple[str, ...]) -> tuple[Flags, frozenset[str]]:
    """System flags as bits, and keywords. \\Recent is the server's and is passed over."""
    bits = Flags(0)
    keywords = set()
    for name in names:
        if name.startswith("\\"):
            if name.lower() == "\\recent":
                continue
            flag = _SYSTEM.get(name.lower())
            if flag is None:
                raise bad("unknown system flag")
            bits |= flag
        elif len(name) > KEYWORD_LENGTH:
            raise no("The keyword is too long", "LIMIT")
        else:
            keywords.add(name)
    return bits, frozenset(keywords)


async def store(session: Session, command: c.Store) -> str:
    selected = session.box
    if selected.read_only:
        raise no("The mailbox was opened read-only", "READ-ONLY")
    flags, keywords = split_flags(command.flags)
    may = changeable(selected.rights)
    named = int(flags) | (int(KEYWORDS) if keywords else 0)
    if not may or (named and not may & named):
        raise not_allowed()  # RFC 4314 4: only when none of the flags may be changed
    if command.unchanged_since is not None:
        session.enable_condstore()
    uids, code = last_of(selected.choose(command.set, uid=command.uid), session.services.message_limit)
    before = await flags_before(session, uids)
    stored = await selected.mailbox.store(
        uids, _HOW[command.sign], flags, keywords, command.unchanged_since, origin=selected, may=may
    )
    await teach_marks(session, stored.changed, _HOW[command.sign], flags, keywords)
    refused = set(stored.modified)
    if not command.silent or command.unchanged_since is not None:
        # Every message that was named is told of, also one whose flags were so before (RFC 9051 6.4.6, RFC 7162 3.1.3).
        selected.note_changed(tuple(uid for uid in uids if uid not in refused))
    elif selected.condstore:
        selected.note_changed(stored.changed)
    for line in selected.flag_news():
        session.write(line)
    told = sorted(selected.take_changed())
    for first in range(0, len(told), 1000):
        if first:
            await asyncio.sleep(0)
        session.write(b"".join(selected.flag_lines(told[first : first + 1000], uid=command.uid)))
        await session.connection.drain()
    await after_flags(session, stored.changed, before)
    if stored.modified:
        if code is not None:
            session.write(f"* NO [{code}] Only the last messages were changed\r\n".encode())
        shown = stored.modified if command.uid else [number for uid in stored.modified if (number := selected.number(uid))]
        return f"[MODIFIED {compact(sorted(shown)).decode()}] Some messages were changed by others"
    return "STORE done" if code is None else f"[{code}] STORE done for the last messages"
