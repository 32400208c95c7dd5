"""The private names of aiosmtpd and asyncio that the SMTP door stands on: a test each, so that a change is seen at once."""

import asyncio
import importlib.metadata
import inspect

import aiosmtpd.smtp
from aiosmtpd.smtp import SMTP


class Handler:
    """The base class wants one."""


class Closed(asyncio.Transport):
    def is_closing(self) -> bool:
        return True


async def protocol() -> SMTP:
    return SMTP(Handler(), hostname="x", ident="y", enable_SMTPUTF8=True, timeout=5, loop=asyncio.get_running_loop())


def test_the_version_is_the_one_that_was_read() -> None:
    assert importlib.metadata.version("aiosmtpd") == "1.4.6"


async def test_it_is_a_stream_protocol_whose_task_is_handle_client() -> None:
    one = await protocol()
    assert isinstance(one, asyncio.StreamReaderProtocol)
    assert inspect.iscoroutinefunction(SMTP._handle_client)
    assert "self._handle_client()" in inspect.getsource(SMTP.connection_made)


async def test_stream_reader_is_kept_as_stream_reader() -> None:
    one = await protocol()
    assert isinstance(one._stream_reader, asyncio.StreamReader)
    assert isinstance(one._stream_reader._limit, int)  # type: ignore[attr-defined]


async def test_timeout_handle_and_its_callback() -> None:
    one = await protocol()
    assert one._timeout_handle is None
    source = inspect.getsource(SMTP._reset_timeout)
    assert "self._timeout_handle" in source
    assert "self._timeout_cb" in source


async def test_reader_writer_and_transport_are_set_for_the_connection() -> None:
    source = inspect.getsource(SMTP)
    for line in ("self._reader = ", "self._writer = ", "self.transport = "):
        assert line in source, line


async def test_over_ssl_says_that_tls_is_on() -> None:
    one = await protocol()
    assert one._over_ssl is False
    assert "self._over_ssl" in inspect.getsource(asyncio.StreamReaderProtocol.eof_received)


def test_connection_lost_is_the_one_that_is_passed_over() -> None:
    # Ours calls StreamReaderProtocol's: the base class would cancel the task that still delivers.
    assert "cancel" in inspect.getsource(SMTP.connection_lost)
    assert SMTP.__mro__[1] is asyncio.StreamReaderProtocol


async def test_asyncio_streams_keep_their_buffer_and_transport() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"abc")
    assert isinstance(reader._buffer, bytearray)  # type: ignore[attr-defined]
    assert reader._buffer == b"abc"  # type: ignore[attr-defined]
    reader._buffer[:0] = b"x"  # type: ignore[attr-defined]
    assert await reader.read(4) == b"xabc"
    assert "_transport" in vars(reader)
    writer = asyncio.StreamWriter(Closed(), asyncio.StreamReaderProtocol(reader), reader, asyncio.get_running_loop())
    assert "_transport" in vars(writer)
    assert aiosmtpd.smtp.__name__
