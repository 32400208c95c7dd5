"""What is an account's, for a takeout: page after page, so that nobody waits long and little is in memory."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from mailstack import __version__
from mailstack.message.flag import NAMES, Flags
from mailstack.store.errors import NoSuchMailbox, NoSuchScript
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.sieve.scripts import Scripts
from mailstack.store.takeout.pieces import Box, Head, Letter, Piece, Script, moment
from mailstack.store.users.directory import AccountRecord, Directory

PAGE = 500  # messages
FORWARDED = "$Forwarded"  # RFC 5788; Maildir's letter P


@dataclass(frozen=True, slots=True)
class Page:
    """`after`: where the next one begins, as a mailbox and the last UID of it that was given; None: this was the last."""

    pieces: list[Piece]
    after: tuple[str, int] | None


class Gatherer:
    """One for the server."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, scripts: Scripts) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._scripts = scripts

    async def first(self, record: AccountRecord, now: float) -> Page:
        """What the account has beside its mail, and how many messages will come."""
        account = await self._account(record)
        brief = await account.brief(account.names())
        about: dict[str, Any] = {
            "account": record.address,
            "made": moment(now),
            "by": f"mailstack {__version__}",
            "aliases": list(await self._directory.aliases_of(record.address)),
            "settings": {"quota": record.quota},
        }
        head = Head(str(account.maildir.root), {**about, "expected": sum(one.messages for one in brief.values())})
        return Page([head, *await self._sieve(record.folder)], ("", 0))

    async def next(self, record: AccountRecord, after: tuple[str, int], most: int = PAGE) -> Page:
        """The messages behind a place, of one mailbox; at most so many."""
        account = await self._account(record)
        name, uid = after
        if uid and name in account.names():
            return await self._messages(account, name, uid, most)
        for following in sorted(one for one in account.names() if one > name):
            try:
                return await self._messages(account, following, 0, most)
            except NoSuchMailbox:
                continue
        return Page([], None)

    async def _account(self, record: AccountRecord) -> Account:
        return await self._mailboxes.account(self._directory.folder(record))

    async def _sieve(self, folder: str) -> list[Piece]:
        found: list[Piece] = []
        for name, active in (await self._scripts.listing(folder)).items():
            try:
                found.append(Script(name, active, await self._scripts.read(folder, name)))
            except NoSuchScript:
                continue
        return found

    async def _messages(self, account: Account, name: str, after: int, most: int) -> Page:
        mailbox = await account.open(name)
        try:
            box = self._box(account, mailbox)
            begins = bisect_right(mailbox.uids, after)
            uids = list(mailbox.uids[begins : begins + most])
            letters = _letters(mailbox, uids)
            more = bool(uids) and mailbox.uids[-1] > uids[-1]
        finally:
            mailbox.release()
        return Page([*([] if after else [box]), *letters], (name, uids[-1] if more else 0))

    def _box(self, account: Account, mailbox: Mailbox) -> Box:
        use = mailbox.special_use
        return Box(
            mailbox.name, use.value if use else None, account.subscribed(mailbox.name), mailbox.uid_validity, len(mailbox.uids)
        )


def _letters(mailbox: Mailbox, uids: list[int]) -> list[Letter]:
    dates, flags = mailbox.dates, mailbox.flags
    found = []
    for file in mailbox.files(uids):
        place = mailbox.position(file.uid)
        if place is not None:
            names = _names(mailbox, flags[place])
            found.append(Letter(file.uid, file.path.decode("latin-1"), file.convert, dates[place], names))
    return found


def _names(mailbox: Mailbox, flags: int) -> list[str]:
    found = [name for bit, name in NAMES.items() if flags & bit]
    found += mailbox.keyword_names(flags)
    if flags & Flags.PASSED and FORWARDED not in found:
        found.append(FORWARDED)
    return found
