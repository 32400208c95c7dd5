"""A message's header is looked for once, whoever asks and however much of it."""

from pathlib import Path

import pytest

from mailstack.message.header import split_header
from mailstack.store.content import Content

HEADER = b"From: a@a.test\r\nSubject: x\r\n\r\n"


@pytest.mark.parametrize("memory", [10_000, 4], ids=["memory", "file"])
@pytest.mark.parametrize("message", [HEADER + b"body\r\n" * 9, HEADER, HEADER[:-2], b"\r\nbody", b""], ids=repr)
def test_header(tmp_path: Path, message: bytes, memory: int) -> None:
    limits = [10, 1000, 10, len(HEADER), 5, len(message)]
    content = Content(tmp_path, memory)
    content.write(message[:7])
    assert content.header(1000) == split_header(message[:7])[0]
    content.write(message[7:])
    assert [content.header(limit) for limit in limits] == [split_header(message[:limit])[0] for limit in limits]
    content.close()
