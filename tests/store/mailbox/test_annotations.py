"""What clients write beside mailboxes: kept, limited, and gone with its mailbox."""

from pathlib import Path

import pytest

from mailstack.store.errors import AnnotationTooLarge, MailboxExists, NoSuchMailbox, TooManyAnnotations
from mailstack.store.mailbox import annotations
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import SpecialUse
from tests.store.mailbox.test_account import place


async def test_they_survive_a_restart_and_the_loss_of_the_index(tmp_path: Path) -> None:
    values = {"/private/text": "Gr\u00fc\u00dfe".encode(), "/private/octets": b"\xff\x00"}
    boxes = Mailboxes("mail.a.test")
    account = await boxes.account(place(tmp_path))
    await account.annotate("Sent", values)
    await account.annotate("", {"/private/x": b"y"})
    await account.use("Archive", None)
    await boxes.close()
    for end in ("", "-wal", "-shm"):
        (tmp_path / "account" / f"index.sqlite3{end}").unlink(missing_ok=True)
    again = Mailboxes("mail.a.test")
    account = await again.account(place(tmp_path))
    assert await account.annotations(["Sent", "", "INBOX"]) == [values, {"/private/x": b"y"}, {}]
    assert SpecialUse.ARCHIVE not in {info.special_use for info in await account.listing()}
    with pytest.raises(MailboxExists):
        await account.use("INBOX", SpecialUse.SENT)
    with pytest.raises(NoSuchMailbox):
        await account.annotations(["nowhere"])
    await again.close()


def test_limits_hold_and_less_is_always_allowed() -> None:
    many = {f"/private/{number}": b"x" for number in range(annotations.COUNT_LIMIT)}
    assert annotations.changed({}, many) == many
    with pytest.raises(TooManyAnnotations):
        annotations.changed(many, {"/private/more": b""})
    assert len(annotations.changed(many, {"/private/more": b"", "/private/1": None})) == len(many)
    with pytest.raises(AnnotationTooLarge):
        annotations.changed({}, {"/private/x": bytes(annotations.VALUE_LIMIT + 1)})
    large = {f"/private/{number}": bytes(annotations.VALUE_LIMIT) for number in range(4)}
    assert annotations.changed({}, large) == large
    with pytest.raises(TooManyAnnotations):
        annotations.changed(large, {"/private/x": b"x"})
    over = many | {"/private/more": b"12345"}
    assert annotations.changed(over, {"/private/more": b"1"})["/private/more"] == b"1"


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"a": 1}', b'{"a": {"base64": 1}}', b'{"a": {"base64": "!"}}', b"null"])
def test_a_file_that_makes_no_sense_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / annotations.FILE).write_bytes(text)
    annotations.read(tmp_path)
