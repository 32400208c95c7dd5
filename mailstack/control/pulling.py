"""pull.*: what a command fetched from another IMAP server comes into an account, each message once.

The command speaks IMAP and puts messages into files of the spool; here they become messages of the account.
"""

import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_address
from mailstack.control.importing import Hop
from mailstack.control.operations import Operation
from mailstack.message.flag import NAMES, Flags
from mailstack.message.mbox import keyword
from mailstack.store.content import Content
from mailstack.store.errors import MailboxExists, OverQuota, TooManyKeywords
from mailstack.store.importing.filling import possible_name
from mailstack.store.importing.pulled import Origin, Pulled, Row, unique
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.filename import email_id
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import NewMessage, SpecialUse
from mailstack.store.moving.names import roles
from mailstack.store.users.directory import Directory

FLAGS = {name.lower(): flag for flag, name in NAMES.items()}
BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A file of the spool, read."""

    uid: int
    content: Content
    digest: str
    date: float | None
    flags: Flags
    keywords: frozenset[str]

    def message(self, origin: Origin, *, words: bool = True) -> NewMessage:
        keywords = self.keywords if words else frozenset()
        name = unique(origin, self.uid)
        return NewMessage(self.content, flags=self.flags, keywords=keywords, internal_date=self.date, unique=name)


class PullOperations:
    """One for the server. `hop`: blocking work in a thread of few."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, spool: Path, hop: Hop) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._spool = spool
        self._hop = hop

    def table(self) -> dict[str, Operation]:
        return {"pull.known": self.known, "pull.take": self.take, "pull.sample": self.sample}

    async def _account(self, arguments: Arguments) -> tuple[Account, Pulled]:
        address = read_address(arguments["address"])
        record = await self._directory.account(address.key)
        if record is None:
            raise OperationProblem(f"there is no account {address.key}; add it first: mailstack user add {address.key}")
        folder = self._directory.folder(record)
        return await self._mailboxes.account(folder), Pulled(folder.path)

    async def known(self, arguments: Arguments) -> Any:
        """What came from a mailbox already: UIDs, and octets as they went over the wire."""
        _, pulled = await self._account(arguments)
        rows = await self._hop(pulled.rows, _origin(arguments))
        return {"uids": [row.uid for row in rows], "sizes": [row.size for row in rows]}

    async def take(self, arguments: Arguments) -> Any:
        """Some messages: files in the spool, with UID, flags and date."""
        account, pulled = await self._account(arguments)
        origin = _origin(arguments)
        account.hold()
        with ExitStack() as contents:
            try:
                place = await _place(account, str(arguments["folder"]), arguments.get("use"))
                fetched = await self._hop(self._read, arguments["letters"])
                for one in fetched:
                    contents.callback(one.content.close)
                there = await self._there(account, place, origin, fetched, pulled)
                fresh = [one for one in fetched if one.uid not in there]
                without = await _append(account, place, origin, fresh)
                rows = [Row(one.uid, one.content.size, one.digest, place) for one in fetched]
                await self._hop(pulled.add, origin, rows)
            except OverQuota as problem:
                raise OperationProblem("the account's quota is full: mailstack user quota") from problem
            finally:
                account.let_go()
        return {"place": place, "came": len(fresh), "there": len(there), "without_keywords": without}

    async def _there(self, account: Account, place: str, origin: Origin, fetched: list[_Fetched], pulled: Pulled) -> set[int]:
        """UIDs of what came before: in a run that was cut short, or by another UIDVALIDITY."""
        digests = await self._hop(pulled.digests, origin)
        mailbox = await account.open(place)
        try:
            ids = {email_id(base) for base in mailbox.loaded.bases}
        finally:
            mailbox.release()
        return {one.uid for one in fetched if unique(origin, one.uid).encode() in ids or one.digest in digests}

    def _read(self, letters: list[dict[str, Any]]) -> list[_Fetched]:
        found = []
        for letter in letters:
            path = Path(str(letter["file"]))
            if path.parent.parent != self._spool or not path.parent.name.startswith("pull-"):
                raise OperationProblem(f"{path} is not in {self._spool}")
            content, digest = Content(self._spool), hashlib.sha256()
            with open(path, "rb", buffering=0) as stream:
                while block := stream.read(BLOCK):
                    digest.update(block)
                    content.write(block)
            found.append(_fetched(letter, content, digest.hexdigest()))
        return found

    async def sample(self, arguments: Arguments) -> Any:
        """Digests of messages as they are here now, by their UIDs there; None for what was removed or moved since."""
        account, pulled = await self._account(arguments)
        origin = _origin(arguments)
        places = {row.uid: row.place for row in await self._hop(pulled.rows, origin)}
        found: dict[str, str | None] = {}
        for uid in arguments["uids"]:
            found[str(uid)] = None
            if places.get(uid) not in account.names():
                continue
            mailbox = await account.open(places[uid])
            try:
                wanted = unique(origin, uid).encode()
                here = next(
                    (mine for mine, base in zip(mailbox.uids, mailbox.loaded.bases, strict=True) if email_id(base) == wanted),
                    None,
                )
                if here is not None:
                    found[str(uid)] = hashlib.sha256(await mailbox.read(here)).hexdigest()
            finally:
                mailbox.release()
        return found


def _origin(arguments: Arguments) -> Origin:
    return Origin(str(arguments["source"]), str(arguments["mailbox"]), int(arguments["uid_validity"]))


def _fetched(letter: dict[str, Any], content: Content, digest: str) -> _Fetched:
    flags, words = Flags(0), set()
    for name in letter["flags"]:
        if name.startswith("\\"):
            flags |= FLAGS.get(name.lower(), Flags(0))
        else:
            words.add(keyword(name))
    return _Fetched(int(letter["uid"]), content, digest, letter.get("date"), flags, frozenset(words - {""}))


async def _place(account: Account, name: str, use: str | None) -> str:
    """The mailbox here that another server's means; made where there is none."""
    name = possible_name(name)
    wanted = next((one for one in SpecialUse if one.value == use), None) or roles([name]).get(name)
    if wanted is not None:
        mine = next((row.name for row in await account.listing() if row.special_use is wanted), None)
        name = mine or name
    if name not in account.names():
        try:
            await account.create(name, wanted)
            await account.subscribe(name)
        except MailboxExists:
            pass
    return name


async def _append(account: Account, place: str, origin: Origin, fresh: list[_Fetched]) -> int:
    """How many lost their keywords."""
    if not fresh:
        return 0
    try:
        await account.append_all(place, [one.message(origin) for one in fresh])
        return 0
    except TooManyKeywords:
        without = 0
    for one in fresh:
        try:
            await account.append(place, one.message(origin))
        except TooManyKeywords:
            without += 1
            await account.append(place, one.message(origin, words=False))
    return without
