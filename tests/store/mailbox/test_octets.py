"""A large file looked at block by block is the same as its octets."""

import os
import random
from pathlib import Path

import pytest

from mailstack.message import mime, structure
from mailstack.store.mailbox import octets
from mailstack.store.mailbox.files import to_wire
from mailstack.store.mailbox.octets import ConvertedOctets, FileOctets


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(octets, "BLOCK", 7)


def opened(path: Path, data: bytes, kind: type[FileOctets]) -> FileOctets:
    path.write_bytes(data)
    return kind(os.open(path, os.O_RDONLY))


@pytest.mark.parametrize("kind", [FileOctets, ConvertedOctets])
def test_slices_searches_and_counts(tmp_path: Path, kind: type[FileOctets]) -> None:
    draw = random.Random(5)
    for _ in range(60):
        raw = b"".join(draw.choices([b"\n--", b"\r\n", b"\n", b"\r", b"-", b"ab", b"\0", b"\n\n"], k=draw.randrange(30)))
        file = opened(tmp_path / "mail", raw, kind)
        data = to_wire(raw) if kind is ConvertedOctets else raw
        assert len(file) == len(data)
        assert file[:] == data
        for _ in range(20):
            first, last = sorted(draw.choices(range(len(data) + 3), k=2))
            assert file[first:last] == data[first:last]
            assert file.find(b"\n--", first) == data.find(b"\n--", first)
            assert file.count(b"\n", first, last) == data.count(b"\n", first, last)
        file.close()


@pytest.mark.parametrize("kind", [FileOctets, ConvertedOctets])
def test_the_tree_of_a_file(tmp_path: Path, kind: type[FileOctets]) -> None:
    raw = (
        b"Subject: s\nContent-Type: multipart/mixed; boundary=o\n\nhello\n--o\n\nfirst\nline\n--o\n"
        b"Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\nplain\n"
        b"--i\nContent-Type: text/html\n\n<b>\n--i--\n\n--o\nContent-Type: image/png\n\n\0\n--o--\nbye\n"
    )
    data = to_wire(raw)
    file = opened(tmp_path / "mail", raw if kind is ConvertedOctets else data, kind)
    tree = mime.walk(data)
    assert mime.walk(file) == tree
    assert structure.body_structure(tree, file, True) == structure.body_structure(tree, data, True)
    file.close()
