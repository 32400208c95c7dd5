"""Mail in files of all kinds, read; and taken in once."""

import asyncio
import gzip
import io
import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest

from mailstack.message.flag import Flags
from mailstack.store.errors import OverQuota
from mailstack.store.importing.filling import Filled, Filling, batches, possible_name
from mailstack.store.importing.letters import Letter, Skipped
from mailstack.store.importing.mbox import MboxFile
from mailstack.store.importing.sources import Source
from mailstack.store.mailbox.foldername import to_folder
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import AccountFolder

FROM = b"From a@far.test Tue Jan  2 10:00:00 2024\n"


def texts(data: bytes, tmp_path: Path, *, seekable: bool = True) -> list[bytes]:
    found = []
    for letter in MboxFile(io.BytesIO(data), seekable=seekable).letters("x", tmp_path, "here"):
        assert isinstance(letter, Letter), letter
        found.append(letter.content.bytes())
        letter.content.close()
    return found


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (FROM + b"A: 1\n\none\n\n" + FROM + b"A: 2\n\ntwo\n\n", [b"A: 1\r\n\r\none\r\n", b"A: 2\r\n\r\ntwo\r\n"]),
        (b"\n\n" + FROM + b"A: 1\r\n\r\none\r\n", [b"A: 1\r\n\r\none\r\n"]),
        (FROM + b"A: 1\n\na\nFrom b\n\n>From c\n>>From d\n> From e\n",
         [b"A: 1\r\n\r\na\r\nFrom b\r\n\r\nFrom c\r\n>From d\r\n> From e\r\n"]),
        (FROM + b"A: 1\n\n\n\nx\n\n\n", [b"A: 1\r\n\r\n\r\n\r\nx\r\n\r\n"]),
        (FROM + b"A: 1\n\n" + FROM + b"A: 2\n\n", [b"A: 1\r\n\r\n", b"A: 2\r\n\r\n"]),
        (FROM + b"A: 1\n" + FROM + b"A: 2\n", [b"A: 1\r\n", b"A: 2\r\n"]),
        (FROM + b"A: 1\n\nno end", [b"A: 1\r\n\r\nno end"]),
        (FROM + b"A: 1\nContent-Length: 16\n\nx\n\nFrom here\n>F\n\n" + FROM + b"A: 2\n\n",
         [b"A: 1\r\n\r\nx\r\n\r\nFrom here\r\n>F\r\n", b"A: 2\r\n\r\n"]),
        (FROM + b"A: 1\nContent-Length: 13\n\n>From here\nx\n" + FROM + b"A: 2\n\n",
         [b"A: 1\r\n\r\nFrom here\r\nx\r\n", b"A: 2\r\n\r\n"]),
        (FROM + b"A: 1\nContent-Length: 3\n\nlonger than that\n\n" + FROM + b"A: 2\n\n",
         [b"A: 1\r\n\r\nlonger than that\r\n", b"A: 2\r\n\r\n"]),
        (b"", []),
        (FROM, []),
    ],
)  # fmt: skip
def test_mbox_of_all_kinds(data: bytes, wanted: list[bytes], tmp_path: Path) -> None:
    assert texts(data, tmp_path) == wanted


def test_a_content_length_is_not_believed_where_it_cant_be_checked(tmp_path: Path) -> None:
    data = FROM + b"A: 1\nContent-Length: 12\n\n>From here\nx\n\n" + FROM + b"A: 2\n\n"
    assert texts(data, tmp_path, seekable=False) == [b"A: 1\r\n\r\nFrom here\r\nx\r\n", b"A: 2\r\n\r\n"]


def test_what_was_written_as_mboxrd_is_read_as_it_was(tmp_path: Path) -> None:
    chance = random.Random(3)
    for _ in range(60):
        lines = [
            chance.choice([b"", b"From x", b">From y", b">>From z", b"text", b"x" * 70_000]) for _ in range(chance.randrange(8))
        ]
        messages = [b"A: %d\r\n\r\n" % number + b"".join(line + b"\r\n" for line in lines) for number in range(3)]
        file = b""
        for message in messages:
            quoted = b"\n".join(
                b">" + line if line.lstrip(b">").startswith(b"From ") else line for line in message.split(b"\r\n")
            )
            file += FROM + quoted + b"\n"
        assert texts(file, tmp_path) == messages


def everything(path: Path, spool: Path) -> tuple[list[tuple[str, bytes, Flags, frozenset[str], float | None]], list[str]]:
    source = Source(path, spool)
    found, skipped = [], []
    for one in source.letters():
        if isinstance(one, Skipped):
            skipped.append(f"{one.where}: {one.reason}")
            continue
        found.append((one.mailbox, one.content.bytes(), one.flags, one.keywords, one.date))
        one.content.close()
    assert source.octets <= source.total
    return found, skipped


def tree(root: Path) -> None:
    """As it lies about: Thunderbird's folders, .eml files, a Maildir, other things."""
    (root / "Local Folders" / "Old.sbd").mkdir(parents=True)
    (root / "Local Folders" / "Old").write_bytes(FROM + b"X-Mozilla-Status: 0000\nA: old\n\nx\n\n")
    (root / "Local Folders" / "Old.msf").write_bytes(b"// index")
    (root / "Local Folders" / "Old.sbd" / "Deep").write_bytes(
        FROM + b"X-Mozilla-Status: 0009\nA: gone\n\n\n" + FROM + b"A: deep\n\n"
    )
    (root / "one.eml").write_bytes(b"Date: Tue, 2 Jan 2024 10:00:00 +0000\nA: eml\n\nx\n")
    (root / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    (root / "packed.mbox.gz").write_bytes(gzip.compress(FROM + b"A: packed\n\n"))
    for part in ("cur", "new", "tmp", ".Sent/cur"):
        (root / "md" / part).mkdir(parents=True)
    (root / "md" / "cur" / "1.a.far:2,Fa").write_bytes(b"A: maildir\n\n")
    (root / "md" / "dovecot-keywords").write_text("0 work\n")
    (root / "md" / ".Sent" / "cur" / "2.b.far:2,S").write_bytes(b"A: sent\n\n")
    os.utime(root / "md" / "cur" / "1.a.far:2,Fa", (1_600_000_000, 1_600_000_000))


def test_a_tree_of_all_kinds(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    tree(root)
    found, skipped = everything(root, tmp_path)
    assert {(mailbox, text.split(b"\r\n\r\n")[0].rpartition(b"A: ")[2].decode()) for mailbox, text, *_ in found} == {
        ("Local Folders/Old", "old"), ("Local Folders/Old/Deep", "deep"), ("Imported", "eml"), ("packed", "packed"),
        ("md/INBOX", "maildir"), ("md/Sent", "sent"),
    }  # fmt: skip
    by_name = {mailbox: (flags, words, date) for mailbox, _, flags, words, date in found}
    assert by_name["md/INBOX"] == (Flags.FLAGGED, frozenset({"work"}), 1_600_000_000.0)
    assert by_name["Local Folders/Old"] == (Flags(0), frozenset(), 1704189600.0)
    assert by_name["Imported"][2] == 1704189600.0
    assert [line for line in skipped if "photo.jpg" in line]


def test_googles_takeout(tmp_path: Path) -> None:
    file = tmp_path / "takeout.zip"
    with zipfile.ZipFile(file, "w") as archive:
        mbox = (
            FROM
            + b"X-Gmail-Labels: Inbox,Unread\nA: 1\n\n\n"
            + FROM
            + b"X-Gmail-Labels: Work,Starred\nA: 2\n\n\n"
            + FROM
            + b"A: 3\n\n"
        )
        archive.writestr("Takeout/Mail/All mail.mbox", mbox)
        archive.writestr("Takeout/archive_browser.html", "<html>")
    found, skipped = everything(file, tmp_path)
    assert [(mailbox, flags) for mailbox, _, flags, _, _ in found] == [
        ("INBOX", Flags(0)), ("Work", Flags.FLAGGED | Flags.SEEN), ("All mail", Flags.SEEN),
    ]  # fmt: skip
    assert skipped == []


def fill(
    account: Path, source: Path, spool: Path, *, above: str | None = None, quota: int | None = None
) -> tuple[Filled, dict[str, int]]:
    async def run() -> tuple[Filled, dict[str, int]]:
        boxes = Mailboxes("mail.a.test")
        one = await boxes.account(AccountFolder(account, account / "index.sqlite3", quota))
        try:
            read = Source(source, spool)
            filling = Filling(one, above, read.own)
            await filling.begin()
            more = batches(read.letters())
            while some := more():
                await filling.take(some)
            brief = await one.brief(one.names())
            return filling.filled, {name: found.messages for name, found in brief.items() if found.messages}
        finally:
            await boxes.close()

    return asyncio.run(run())


def _archive(path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, b"Subject: %s\r\n\r\n" % name.encode() + random.Random(name).randbytes(3000))


def test_what_is_damaged_is_told_and_the_rest_comes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    _archive(source / "a.zip", ["one.eml", "two.eml", "three.eml"])
    data = bytearray((source / "a.zip").read_bytes())
    data[5000] ^= 0xFF  # in the second
    (source / "a.zip").write_bytes(data)
    _archive(source / "b.zip", ["locked.eml"])
    locked = bytearray((source / "b.zip").read_bytes())
    for place in (6, locked.index(b"PK\x01\x02") + 8):
        locked[place] |= 1  # encrypted
    (source / "b.zip").write_bytes(locked)
    packed = gzip.compress(FROM + b"A: 1\n\none\n\n" + FROM + b"A: 2\n\n" + random.Random(1).randbytes(90000).hex().encode())
    (source / "c.mbox.gz").write_bytes(packed[:-2000])
    (source / "d.mbox.gz").write_bytes(packed[:9] + b"?" * 40 + packed[50:])
    with io.BytesIO() as whole:
        with tarfile.open(fileobj=whole, mode="w:gz") as archive:
            for name in ("one", "two"):
                text = b"A: t\n\n" + random.Random(name).randbytes(90000).hex().encode()
                info = tarfile.TarInfo(f"{name}.eml")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text))
        (source / "e.tar.gz").write_bytes(whole.getvalue()[:-30000])
    letters, skipped = [], []
    for found in Source(source, tmp_path).letters():
        if isinstance(found, Skipped):
            skipped.append(Path(found.where.partition(":")[0]).name)
        else:
            letters.append(found.content.head(14).partition(b"\r")[0])
            found.content.close()
    assert skipped == ["a.zip", "b.zip", "c.mbox.gz", "d.mbox.gz", "e.tar.gz"]
    assert letters == [b"Subject: one.e", b"Subject: three", b"A: 1", b"A: t"]


@pytest.mark.parametrize(
    "name", ["a/b", "..", "a//b", "x" * 300, "\u6f22" * 300, "/".join(["\U0001f600" * 60] * 9), "a/../b", "\0"]
)
def test_any_name_becomes_one_that_a_mailbox_can_have(name: str) -> None:
    to_folder(possible_name(name))


def test_each_message_comes_once(tmp_path: Path) -> None:
    account, root = tmp_path / "account", tmp_path / "tree"
    tree(root)
    (root / "Sent Items").write_bytes(FROM + b"A: mine\n\n\n" + FROM + b"A: mine\n\n")
    filled, counts = fill(account, root, tmp_path)
    assert (filled.messages, filled.there) == (7, 1), "the same twice in one mailbox is one"
    assert counts["Sent"] == 1, "what a folder is for is kept, whatever it is called"
    again, after = fill(account, root, tmp_path)
    assert (again.messages, again.there) == (0, 8)
    assert after == counts
    _, below = fill(account, root, tmp_path, above="Old")
    assert below["Old"] == 1
    assert below["Old/md/Sent"] == 1


def test_one_file_into_one_mailbox(tmp_path: Path) -> None:
    file = tmp_path / "Archive 2019.mbox"
    file.write_bytes(
        FROM + b"A: 1\n\n\n" + FROM + b"Status: O\nX-Keywords: " + b" ".join(b"k%d" % n for n in range(40)) + b"\nA: 2\n\n"
    )
    filled, counts = fill(tmp_path / "a", file, tmp_path)
    assert counts == {"Archive 2019": 2}
    assert filled.without_keywords == 1, "a mailbox has 26 keywords; the message comes without"
    assert fill(tmp_path / "b", file, tmp_path, above="INBOX")[1] == {"INBOX": 2}
    with pytest.raises(OverQuota):
        fill(tmp_path / "c", file, tmp_path, quota=5)


def test_no_mail(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        Source(tmp_path / "none", tmp_path)
    (tmp_path / "x.txt").write_text("hello")
    assert everything(tmp_path / "x.txt", tmp_path)[1]
    (tmp_path / "empty").write_text("")
    assert everything(tmp_path / "empty", tmp_path) == ([], [])


def test_a_small_file_that_unpacks_without_end_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailstack.store.importing.letters.LARGEST", 1 << 20)
    path = tmp_path / "bomb.mbox.gz"
    path.write_bytes(gzip.compress(FROM + b"A: b\n\n" + b"x" * (8 << 20)))
    assert path.stat().st_size < 20_000
    with pytest.raises(OSError, match="more than 1048576 octets"):
        everything(path, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
