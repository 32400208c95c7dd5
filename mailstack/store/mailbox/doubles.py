"""Two files with one base name in one mailbox: a backup put over changed flags, or another program's copy. Blocking code.

The same octets are one message: the flags of both stay, save \\Deleted, and one file goes. Other octets are another message.
"""

from __future__ import annotations

import contextlib
import os
import stat

from mailstack.log import get_logger
from mailstack.message.flag import Flags, from_letters, to_letters
from mailstack.store.errors import MessageGone
from mailstack.store.mailbox.filename import parse, split
from mailstack.store.mailbox.maildir import Maildir

log = get_logger()
BLOCK = 1 << 20


def settle(maildir: Maildir, prefix: bytes, paths: list[bytes], expected: bytes | None) -> tuple[bytes, list[bytes]]:
    """The path that the message has from now on, and those of other messages. `expected` is where the index has it."""
    ranked = sorted((rank, path) for path in paths if (rank := _rank(maildir, path, expected)) is not None)
    if len(ranked) < 2:
        return ranked[0][1] if ranked else paths[-1], []
    keeper = ranked[0][1]
    flags = had = _flags(keeper)
    others = []
    for _, path in ranked[1:]:
        try:
            if _drop(maildir, prefix, keeper, path):
                flags |= _flags(path) & ~Flags.DELETED
            else:
                others.append(path)
        except (OSError, MessageGone) as problem:
            log.warning("store.double_kept", file=os.fsdecode(maildir.path(path)), problem=str(problem))
    return (_renamed(maildir, prefix, keeper, flags) if flags != had else keeper), others


def _flags(path: bytes) -> Flags:
    return from_letters(split(path.rpartition(b"/")[2])[1])


def _rank(maildir: Maildir, path: bytes, expected: bytes | None) -> tuple[bool, int, bool, bool] | None:
    """The lowest is the message that the name was made for: of the size that it says, and the oldest."""
    try:
        status = os.lstat(maildir.path(path))
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return (
        parse(path.rpartition(b"/")[2]).size != status.st_size,
        status.st_mtime_ns,
        path != expected,
        path.rpartition(b"/")[0].endswith(b"new"),
    )


def _drop(maildir: Maildir, prefix: bytes, keeper: bytes, path: bytes) -> bool:
    """Take one away if the other is there and the same. It goes aside first: what looks like two may be one that is renamed."""
    base = split(path.rpartition(b"/")[2])[0]
    aside = prefix + b"tmp/double." + base
    maildir.disk.rename(maildir.path(path), maildir.path(aside))
    same = False
    try:
        same = _same(maildir, keeper, aside)
    finally:
        if not same:
            maildir.disk.rename(maildir.path(aside), maildir.path(path))
    if same:
        maildir.disk.unlink(maildir.path(aside))
        log.info("store.double_dropped", file=os.fsdecode(maildir.path(path)), kept=os.fsdecode(maildir.path(keeper)))
    return same


def _same(maildir: Maildir, one: bytes, other: bytes) -> bool:
    with contextlib.ExitStack() as stack:
        descriptors = []
        for path in (one, other):
            descriptor = os.open(maildir.path(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            descriptors.append(descriptor)
        first, second = descriptors
        here, there = os.fstat(first), os.fstat(second)
        if here.st_size != there.st_size or not stat.S_ISREG(here.st_mode):
            return False
        if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            return True
        while block := os.read(first, BLOCK):
            if os.read(second, len(block)) != block:
                return False
        return True


def _renamed(maildir: Maildir, prefix: bytes, keeper: bytes, flags: Flags) -> bytes:
    base = split(keeper.rpartition(b"/")[2])[0]
    target = prefix + b"cur/" + base + b":2," + to_letters(flags).encode()
    if os.path.lexists(maildir.path(target)):
        return keeper
    with contextlib.suppress(OSError):
        maildir.disk.rename(maildir.path(keeper), maildir.path(target))
        return target
    return keeper
