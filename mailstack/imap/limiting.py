"""MESSAGELIMIT (RFC 9738): how many messages one command deals with, where the admin sets it."""

from collections.abc import Sequence

from mailstack.imap.selected import Selected
from mailstack.wire.imap import search as s


def last_of(uids: Sequence[int], limit: int | None) -> tuple[Sequence[int], str | None]:
    """Those with the highest UIDs, and the code that names the lowest of them; None when none had to be left out."""
    if limit is None or len(uids) <= limit:
        return uids, None
    some = uids[len(uids) - limit :]
    return some, f"MESSAGELIMIT {limit} {some[0]}"


def searched(selected: Selected, key: s.Key) -> Sequence[int]:
    """The messages that a search looks at, not those that match: a set of UIDs or numbers narrows them (RFC 9738 3.1)."""
    uids: Sequence[int] = selected.uids
    for one in key.keys if isinstance(key, s.And) else (key,):
        if isinstance(one, s.Uids):
            chosen = set(selected.choose(one.set, uid=True))
        elif isinstance(one, s.Numbers) and not one.set.saved:
            chosen = {selected.uids[number - 1] for number in one.set.existing(len(selected.uids))}
        else:
            continue
        uids = [uid for uid in uids if uid in chosen]
    return uids
