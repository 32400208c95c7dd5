"""What programs send each other in packed files: gzip and zip, never more than is wanted of them."""

import io
import struct
import zipfile
import zlib

from mailstack.message.errors import SyntaxProblem

PACKED_LIMIT = 4 << 20  # octets of a file as it came
LIMIT = 10 << 20  # octets of what is in it
_TROUBLE = zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, OverflowError, OSError, struct.error


def unpack(data: bytes, limit: int = LIMIT) -> bytes:
    """The one file in a gzip or zip file, or the file itself. Raises SyntaxProblem, also for what would be too large."""
    if len(data) > PACKED_LIMIT:
        raise SyntaxProblem("the file is too large")
    try:
        if data[:2] == b"\x1f\x8b":
            found = _gzip(data, limit)
        elif data[:4] == b"PK\x03\x04":
            found = _zip(data, limit)
        else:
            found = data
    except _TROUBLE as problem:
        raise SyntaxProblem(f"the file can't be unpacked: {problem}") from problem
    if len(found) > limit:
        raise SyntaxProblem("there is too much in the file")
    return found


def _gzip(data: bytes, limit: int) -> bytes:
    """RFC 1952, the first member."""
    one = zlib.decompressobj(wbits=31)
    found = one.decompress(data, limit + 1)
    if not one.eof and len(found) <= limit:
        raise EOFError("it is cut short")
    return found


def _zip(data: bytes, limit: int) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        names = [one for one in files.infolist()[:10] if not one.is_dir()]
        if not names:
            raise SyntaxProblem("there is no file in it")
        if names[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise SyntaxProblem("it is packed in an unusual way")
        with files.open(names[0]) as file:
            return file.read(limit + 1)
