"""ClamAV: a message to clamd, as a stream, and what it found."""

import io
from collections.abc import Iterator

from aioclamd import BufferTooLongError, ClamdAsyncClient, ClamdError  # type: ignore[import-untyped]


class ClamdProblem(Exception):
    """No answer that can be used: why, for log and evidence."""


async def scan(address: str, blocks: Iterator[bytes], seconds: float) -> str | None:
    """The name of what it found, None for nothing. `address`: "host:port". Threads read `blocks`. Raises ClamdProblem."""
    host, _, port = address.rpartition(":")
    client = ClamdAsyncClient(host.strip("[]"), int(port), timeout=seconds)
    try:
        found = await client.instream(_Blocks(blocks))
    except BufferTooLongError:
        raise ClamdProblem("the message is larger than it takes") from None
    except (ClamdError, OSError) as problem:
        raise ClamdProblem(str(problem) or type(problem).__name__) from problem
    results = list((found or {}).values())
    if not results:
        raise ClamdProblem("it gave no answer")
    status, name = results[0]
    if status == "ERROR":
        raise ClamdProblem(str(name))
    return str(name) if status == "FOUND" else None


class _Blocks(io.RawIOBase):
    """What aioclamd reads from: a block as it is, where it asks for one of 1,024 octets, and takes a thread for each."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks

    def read(self, _: int = -1) -> bytes:
        return next(self._blocks, b"")
