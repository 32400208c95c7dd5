"""What other servers write beside their mail, read and written."""

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.store.mailbox.values import SpecialUse
from mailstack.store.moving import courier, modseq, names, rules, subscribed, uidlist
from mailstack.store.moving.uidlist import Listed

GUID = "3085f01b7f11094c501100008c4a11c1"


def test_a_list_of_dovecot() -> None:
    data = (
        f"3 V1275660208 N25 G{GUID}\n25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,\n"
        f"25017 W2481 G{GUID} :1276533073.M242911P3632.kurkku:2,F\n"
    ).encode()
    found = uidlist.parse(data)
    assert found is not None
    assert (found.uid_validity, found.uid_next, found.guid) == (1275660208, 25018, GUID), "the next UID is above all lines"
    assert found.messages == {
        b"1276528487.M364837P9451.kurkku,S=1355,W=1394": Listed(25006),
        b"1276533073.M242911P3632.kurkku": Listed(25017, GUID),
    }
    again = uidlist.compose(found, [(one.uid, base) for base, one in found.messages.items()])
    read = uidlist.parse(again)
    assert read is not None
    assert (read.uid_validity, read.uid_next, sorted(read.messages)) == (1275660208, 25018, sorted(found.messages))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"3", b"3 V1", b"3 N1 Vx", b"2 1 1\n", b"1 0 1\n", b"1 1 0\n", b"3 V4294967296 N1\n", b"3 V1 N4294967296\n",
        b"\xff",
    ],
)  # fmt: skip
def test_what_is_no_list(data: bytes) -> None:
    assert uidlist.parse(data) is None


def test_lines_that_make_no_sense_are_left_out() -> None:
    data = b"3 V7 N1\n0 :zero\n1 :a/b\n2 :good\n2 :twice\nx :y\n3\n4 :\n99999999999 :far\n5 bad\n6 :late\n"
    found = uidlist.parse(data)
    assert found is not None
    assert {base: one.uid for base, one in found.messages.items()} == {b"good": 2, b"late": 6}
    assert found.uid_next == 7


def test_a_list_of_courier() -> None:
    found = uidlist.parse(b"1 1275660208 25022\n25006 1276528487.M364837P9451.kurkku\n")
    assert found is not None
    assert (found.uid_next, found.messages) == (25022, {b"1276528487.M364837P9451.kurkku": Listed(25006)})


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_are_a_list_or_none(data: bytes) -> None:
    uidlist.parse(b"3 V1 N1\n" + data)
    found = uidlist.parse(data)
    assert found is None or 0 < found.uid_validity < 1 << 32
    subscribed.parse_dovecot(data)
    subscribed.parse_courier(data)
    courier.parse_list(data.decode("latin-1"))
    modseq.bound_of_log(data, len(data))


def test_keywords_of_courier(tmp_path: Path) -> None:
    folder = tmp_path / courier.FOLDER
    folder.mkdir()
    (folder / ":list").write_text("$Label1\nwork\n\n1.a.host:0 1\n2.b.host,S=7:1\n3.c.host:9\n")
    (folder / ".5.1.a.host").write_text("old\n")
    (folder / ".17.1.a.host").write_text("work\n")
    (folder / "4.d.host").write_text("$Label1\nhome\n")
    (folder / ".3.4.d.host").write_text("never\n")
    assert courier.read(tmp_path) == {
        b"1.a.host": frozenset({"work"}),
        b"2.b.host,S=7": frozenset({"work"}),
        b"4.d.host": frozenset({"$Label1", "home"}),
    }
    assert courier.read(tmp_path / "none") == {}


def test_subscriptions(tmp_path: Path) -> None:
    assert subscribed.parse_dovecot(b"V\t2\n\nArchive\t2026\nEntw&APw-rfe\ninbox\n") == {"Archive/2026", "Entwürfe", "INBOX"}
    assert subscribed.parse_dovecot(b"Archive.2026\nINBOX\n") == {"Archive/2026", "INBOX"}
    assert subscribed.parse_dovecot(b"Archive/2026\n", separator=b"/") == {"Archive/2026"}
    assert subscribed.parse_courier(b"INBOX.Sent\nINBOX\nINBOX.Lists.x\n") == {"Sent", "INBOX", "Lists/x"}
    assert subscribed.read(tmp_path) is None


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ([b"Archive", b"2026"], "Archive/2026"),
        ([b"Entw&APw-rfe"], "Entwürfe"),
        (["Entwürfe".encode()], "Entwürfe"),
        ([rb"a\2eb"], "a.b"),
        ([rb"a\2fb"], "a_b"),
        ([b"..."], "_..."),
        ([b"a\nb"], "a_b"),
        ([b"\xff"], "\ufffd"),
    ],
)
def test_names(parts: list[bytes], name: str) -> None:
    assert names.of_folder(parts) == name


def test_what_folders_are_for() -> None:
    found = names.roles(["INBOX", "INBOX/Sent Items", "Sent", "Gelöscht", "Spam", "Lists/Drafts", "All Mail"])
    assert found == {
        "Sent": SpecialUse.SENT,
        "Gelöscht": SpecialUse.TRASH,
        "Spam": SpecialUse.JUNK,
        "All Mail": SpecialUse.ARCHIVE,
    }
    assert names.roles(["INBOX/Sent Items"]) == {"INBOX/Sent Items": SpecialUse.SENT}


def test_modseqs_are_bounded_by_the_log(tmp_path: Path) -> None:
    assert modseq.bound(tmp_path) is None
    log = modseq.first_log(1000, 7, 1_700_000_000)
    assert len(log) == struct.unpack_from("<H", log, 2)[0]
    (tmp_path / modseq.LOG).write_bytes(log + bytes(80))
    assert modseq.bound(tmp_path) == 1011
    (tmp_path / f"{modseq.LOG}.2").write_bytes(modseq.first_log(2000, 7, 0))
    assert modseq.bound(tmp_path) == 2001
    (tmp_path / f"{modseq.LOG}.2").write_bytes(b"\x02")
    assert modseq.bound(tmp_path) == 1011


def test_scripts_are_found_where_dovecot_has_them(tmp_path: Path) -> None:
    maildir = tmp_path / "Maildir"
    maildir.mkdir()
    assert rules.find(maildir).scripts == {}
    (tmp_path / "sieve").mkdir()
    (tmp_path / "sieve" / "a.sieve").write_text("keep;")
    (tmp_path / "sieve" / "b.sieve").write_text("discard;")
    found = rules.find(maildir)
    assert (sorted(found.scripts), found.active) == (["a", "b"], None)
    (tmp_path / ".dovecot.sieve").symlink_to("sieve/b.sieve")
    assert rules.find(maildir).active == "b"
    (tmp_path / ".dovecot.sieve").unlink()
    (tmp_path / ".dovecot.sieve").write_text("stop;")
    found = rules.find(maildir)
    assert (found.active, found.scripts["dovecot"]) == ("dovecot", b"stop;") if "dovecot" in found.scripts else ("main",)
    only = rules.find(maildir, tmp_path / "sieve" / "a.sieve")
    assert (only.scripts, only.active) == ({"a": b"keep;"}, "a")
    with pytest.raises(OSError, match="none"):
        rules.find(maildir, tmp_path / "none")
