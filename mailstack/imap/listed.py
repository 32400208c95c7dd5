"""One line of LIST (RFC 9051 7.3.1), for LIST itself and for those who tell of a mailbox unasked."""

import unicodedata
from dataclasses import replace

from mailstack.imap.places import Place, listing
from mailstack.imap.session import Session
from mailstack.policy.rights import KNOWING
from mailstack.store.mailbox.foldername import SEPARATOR, normalise
from mailstack.store.mailbox.values import MailboxInfo
from mailstack.wire.imap.responses import mailbox as shown_name


def attributes(info: MailboxInfo, *, subscribed: bool, nonexistent: bool) -> str:
    """In the words of LIST; `nonexistent` where the client knows RFC 5258's word for what can't be selected."""
    found = []
    if not info.selectable:
        found.append("\\NonExistent" if nonexistent else "\\Noselect")
    found.append("\\HasChildren" if info.children else "\\HasNoChildren")
    if info.subscribed and subscribed:
        found.append("\\Subscribed")
    # Old clients look for special uses in a plain LIST too (RFC 6154 2 allows it).
    if info.special_use is not None:
        found.append(info.special_use.value)
    return " ".join(found)


def list_line(session: Session, known: dict[str, MailboxInfo], name: str, old_name: str | None = None) -> bytes:
    """LIST of one name, whether it is there or not (RFC 5465 5.4, 5.5); `old_name` as RFC 9051 6.3.9.7."""
    info = known.get(name)
    if info is None:
        info = MailboxInfo(name, False, name in session.mail.subscriptions(), None, False)
    more = b""
    if old_name is not None:
        more = b' ("OLDNAME" (%b))' % shown_name(old_name, utf8=session.utf8)
    shown = shown_name(name, utf8=session.utf8)
    return b'* LIST (%b) "/" %b%b\r\n' % (attributes(info, subscribed=True, nonexistent=True).encode(), shown, more)


async def tell(session: Session, place: Place, given: str, old_name: str | None = None, *, always: bool = False) -> None:
    """LIST unasked, in IMAP4rev2: where a name has an `old_name`, or the client wrote it not in Unicode's form C."""
    if session.rev1:
        return
    if old_name is None and unicodedata.normalize("NFC", given) != given:
        old_name = given
    if always or old_name is not None:
        name = normalise(place.name)
        shown = place.prefix + name
        subscribed = shown in session.mail.subscriptions()
        if place.shared:
            known = {shown: await _of_other(session, place, shown, subscribed=subscribed)}
        else:
            infos = await place.account.listing()
            known = {info.name: replace(info, subscribed=subscribed) for info in infos if info.name == name}
        session.write(list_line(session, known, shown, old_name))


async def _of_other(session: Session, place: Place, shown: str, *, subscribed: bool) -> MailboxInfo:
    """What this session may know of it; of what is below it, only what may be looked up."""
    seen = await listing(session, [shown + SEPARATOR])
    below = any(name.startswith(shown + SEPARATOR) for name in seen)
    return MailboxInfo(shown, bool(place.rights & KNOWING), subscribed, None, below)
