"""Deliveries that were cut off between the name in the folder and the row in the index. Blocking code.

The unique name is made of the queue's id and the recipient's number, so it tells of the attempt whatever second it was in.
"""

import os

from mailstack.store.mailbox.filename import parse, unique_of
from mailstack.store.mailbox.maildir import Maildir

TRIES = 4


def arrived(maildir: Maildir, folder: str, uniques: set[str]) -> dict[str, int]:
    """Which of the unique names stand in the folder, with their UIDs. Durable: who asked counts on them.

    What another program moved away or removed meanwhile is not found; a second copy is better than none then.
    """
    prefix = os.fsencode(folder) + b"/" if folder else b""
    wanted = {unique.encode(): unique for unique in uniques}
    found: dict[str, int] = {}
    for _ in range(TRIES):
        before = maildir.times(folder)
        for part in (prefix + b"new", prefix + b"cur"):
            for name in os.listdir(maildir.path(part)):
                unique = wanted.get(unique_of(name))
                if unique is not None:
                    found[unique] = parse(name).uid or 0
        # Under renames of others a listing may miss what is there.
        if len(found) == len(wanted) or maildir.times(folder) == before:
            break
    if found:
        maildir.sync_parents((prefix + b"new/", prefix + b"cur/"))
    return found
