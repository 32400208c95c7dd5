"""What is kept as rows is what would be made anew: in any order of items, after changes of flags, and where messages went."""

import itertools

import pytest

from tests.support.imap import Client
from tests.support.server import PASSWORD, Server

MAIL = (
    b"Received: by far.test\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\nX-Other: kept by few\r\nSubject: number %d\r\n"
    b"From: Ann <ann@far.test>\r\nTo: bob@a.test\r\n\r\ntext\r\n"
)
FIELDS = "BODY.PEEK[HEADER.FIELDS (Subject From Date)]"
OTHER = "BODY.PEEK[HEADER.FIELDS (Subject X-Other)]"


@pytest.fixture
def client(server: Server, account: str):
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        one.ok("SELECT INBOX")
        for number in range(6):
            one.append("INBOX", MAIL % number)
        one.ok("NOOP")
        yield one


def alone(client: Client, uid: int, items: list[str]) -> dict[str, object]:
    """Each item asked for by itself."""
    found: dict[str, object] = {}
    for item in items:
        (response,) = client.fetch(f"{uid} ({item} UID)").values()
        found |= response.items
    return found


def test_every_order_of_items_gives_the_same(client: Client) -> None:
    items = ["UID", "FLAGS", "MODSEQ", "ENVELOPE", "RFC822.SIZE", FIELDS, OTHER]
    told = {number: alone(client, number, items) for number in range(1, 7)}
    for order in itertools.islice(itertools.permutations(items), 0, None, 397):
        for _ in range(2):
            found = client.fetch(f"1:* ({' '.join(order)})")
            assert {number: response.items for number, response in found.items()} == told, order


def test_flags_of_rows_and_of_whole_mailboxes_are_those_of_now(client: Client) -> None:
    asked = ("UID FLAGS", f"UID FLAGS {FIELDS}", "FLAGS ENVELOPE", "ENVELOPE FLAGS")

    def flags() -> list[list[list[str]]]:
        return [[one.items["FLAGS"] for _, one in sorted(client.fetch(f"1:* ({items})").items())] for items in asked]

    for change in (
        "1:3 +FLAGS (\\Seen)",
        "2 -FLAGS (\\Seen)",
        "2 +FLAGS (red)",
        "4 +FLAGS (blue)",
        "1:* -FLAGS (red)",
        "5 FLAGS ()",
    ):
        before = flags()
        assert all(one == before[0] for one in before)
        client.ok(f"STORE {change}")
        client.ok("NOOP")
        after = flags()
        assert all(one == after[0] for one in after)
        assert after != before or change == "5 FLAGS ()"


def test_rows_of_messages_that_went_are_not_told(client: Client) -> None:
    whole = {one.items["UID"]: one.items for one in client.fetch(f"1:* (UID ENVELOPE {FIELDS})").values()}
    assert len(whole) == 6
    client.ok("STORE 2,5 +FLAGS (\\Deleted)")
    client.ok("EXPUNGE")
    left = client.fetch(f"1:* (UID ENVELOPE {FIELDS})")
    assert [one.number for one in left.values()] == [1, 2, 3, 4]
    assert [one.items for one in left.values()] == [whole[uid] for uid in sorted(whole) if uid not in (2, 5)]
