"""How far the MODSEQs of a Dovecot folder may have gone: clients that saw them must never see lower ones (RFC 7162 3.1.2.2).

The header of a `dovecot.index.log` says with which MODSEQ the log begins, and each of its records raises it by one at most. A
record has 8 octets or more, so the log's size gives a bound; that it leaves a gap does no harm.
"""

import struct
from pathlib import Path

LOG = "dovecot.index.log"
_HEADER = struct.Struct("<BBHIIIIIQ")  # version, version, size, index, sequence, previous (2), created, MODSEQ
_RECORD = 8  # octets of the smallest one
UNKNOWN = 1 << 40  # above all that a server counting changes may have reached


def bound_of_log(header: bytes, size: int) -> int | None:
    """A MODSEQ that is not below any that a log of `size` octets gave, None when this is no log."""
    if len(header) < _HEADER.size:
        return None
    values: tuple[int, ...] = _HEADER.unpack_from(header)
    major, header_size, first = values[0], values[2], values[-1]
    if major != 1 or not _HEADER.size <= header_size <= 1 << 12 or first >= 1 << 62:
        return None
    return first + max(0, size - header_size) // _RECORD + 1


def bound(folder: Path) -> int | None:
    """For a folder with its indexes: None when there are none, and nothing is known."""
    found = []
    for name in (LOG, f"{LOG}.2"):
        try:
            with open(folder / name, "rb") as file:
                header = file.read(_HEADER.size)
                size = file.seek(0, 2)
        except OSError:
            continue
        one = bound_of_log(header, size)
        if one is not None:
            found.append(one)
    return max(found, default=None)


def first_log(modseq: int, index: int, created: int) -> bytes:
    """The empty log of a folder whose next MODSEQs are above `modseq`, for a Dovecot that makes its index anew."""
    return _HEADER.pack(1, 3, 40, index, 1, 0, 0, created, modseq) + b"\1" + bytes(7)
