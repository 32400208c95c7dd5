"""A takeout: names that any system can have, and a helper process that ends when nobody wants what it writes."""

import contextlib
import io
import json
import os
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mailstack.store.errors import StoreFailed
from mailstack.store.takeout.pieces import Box, Head, Letter, Piece, Script, folder_of, script_file
from mailstack.store.takeout.streaming import stream
from mailstack.store.takeout.writing import Writer

NAMES = [
    ("INBOX", "mail/INBOX"),
    ("Lists/Team", "mail/Lists/Team"),
    ("../../etc", "mail/.%2E/.%2E/etc"),
    ("a:b\\c", "mail/a%3Ab%5Cc"),
    ("100%", "mail/100%25"),
    ("7.eml", "mail/7%2Eeml"),
    ("ends. ", "mail/ends.%20"),
    ("Über", "mail/Über"),
]


@pytest.mark.parametrize(("mailbox", "folder"), NAMES)
def test_a_folder_is_one_that_any_system_can_have(mailbox: str, folder: str) -> None:
    assert folder_of(mailbox) == folder


def test_a_script_is_one_file_whatever_its_name() -> None:
    assert script_file("a/../b") == "sieve/a%2F..%2Fb.sieve"


def account(folder: Path, messages: int, size: int) -> list[Piece]:
    root = folder / "Maildir"
    (root / "cur").mkdir(parents=True)
    letters = []
    for uid in range(1, messages + 1):
        (root / "cur" / f"{uid}.x.y:2,S").write_bytes(os.urandom(size))
        letters.append(Letter(uid, f"cur/{uid}.x.y:2,S", False, 1_700_000_000, ["\\Seen"]))
    return [Head(str(root), {"account": "alice@a.test"}), Box("INBOX", None, True, 7, messages), *letters]


async def in_pages(pieces: list[Piece]) -> AsyncIterator[list[Piece]]:
    for piece in pieces:
        yield [piece]


async def test_a_stream_is_a_whole_zip(tmp_path: Path) -> None:
    pieces = [*account(tmp_path, 3, 1000), Script("main", True, b"keep;")]
    (tmp_path / "Maildir/cur/2.x.y:2,S").rename(tmp_path / "Maildir/cur/2.x.y:2,FS")  # flagged meanwhile
    (tmp_path / "Maildir/cur/3.x.y:2,S").unlink()
    made = b"".join([block async for block in stream(in_pages(pieces))])
    with zipfile.ZipFile(io.BytesIO(made)) as found:
        assert found.testzip() is None
        manifest = json.loads(found.read("manifest.json"))
        assert [one["file"] for one in manifest["messages"]] == ["mail/INBOX/1.eml", "mail/INBOX/2.eml"]
        assert manifest["count"] == 2


async def test_a_helper_ends_when_nobody_wants_what_it_writes(tmp_path: Path) -> None:
    blocks = stream(in_pages(account(tmp_path, 20, 200_000)))
    assert await anext(blocks)
    (helper,) = children()
    await blocks.aclose()
    assert helper not in children()


async def test_what_can_not_be_finished_is_no_whole_zip(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[list[Piece]]:
        yield account(tmp_path, 1, 1000)
        raise StoreFailed("the disk")

    made = b""
    with pytest.raises(StoreFailed):
        async for block in stream(broken()):
            made += block
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(made))
    assert not children()


def test_an_account_without_mail(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Writer(stream).write(account(tmp_path, 0, 0))
    assert json.loads(zipfile.ZipFile(stream).read("manifest.json"))["messages"] == []


def children() -> set[int]:
    """Helpers of this process that run."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            words = (entry / "stat").read_text().rpartition(")")[2].split()
            if words[1] == str(os.getpid()) and b"takeout.helper" in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
    return found
