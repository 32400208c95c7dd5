"""Which conversation a message belongs to, told by its header alone."""

import hashlib
import re

from mailstack.message.header import first

_ID = re.compile(rb"<([^<>\s]{1,900})>")


def thread_id(header: bytes) -> bytes | None:
    """THREADID (RFC 8474 5.2) of a message; None where its header names no message at all.

    The first message that References names is the one that began the conversation (RFC 5322 3.6.4). Its name makes the id:
    so it is the same for a mail, its copies and its answers, in whatever order they come and whether all of them are here,
    and the loss of every cache changes nothing.
    """
    for name in (b"References", b"In-Reply-To", b"Message-ID"):
        value = first(header, name)
        found = _ID.search(value) if value else None
        if found is not None:
            return b"T" + hashlib.sha256(found[1]).hexdigest()[:24].encode("ascii")
    return None
