"""pull.*: what a command fetched from another IMAP server comes into an account, each message once.

The command speaks IMAP and puts messages into files of the spool; here they become messages of the account.
"""

import hashlib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.finding import find_account
from mailstack.control.importing import Hop
from mailstack.control.operations import Operation
from mailstack.message.flag import NAMES, SYSTEM, Flags
from mailstack.message.mbox import keyword
from mailstack.store.content import Content
from mailstack.store.errors import MailboxExists, OverQuota, TooManyKeywords
from mailstack.store.importing.filling import possible_name
from mailstack.store.importing.pulled import Origin, Pulled, Row, unique
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.filename import email_id
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import How, NewMessage, SpecialUse
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
        return NewMessage(
            self.content, flags=self.flags, keywords=keywords, internal_date=self.date, unique=name, once=True, again=True
        )


class PullOperations:
    """One for the server. `hop`: blocking work in a thread of few."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, spool: Path, hop: Hop) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._spool = spool
        self._hop = hop

    def table(self) -> dict[str, Operation]:
        return {"pull.known": self.known, "pull.take": self.take, "pull.flags": self.flags, "pull.sample": self.sample}

    async def _account(self, arguments: Arguments) -> tuple[Account, Pulled]:
        folder = self._directory.folder(await find_account(self._directory, arguments["address"], to_fill=True))
        return await self._mailboxes.account(folder), Pulled(folder.path)

    async def known(self, arguments: Arguments) -> Any:
        """What came from a mailbox already: UIDs, and octets as they went over the wire."""
        _, pulled = await self._account(arguments)
        rows = await self._hop(pulled.rows, _origin(arguments))
        return {
            "uids": [row.uid for row in rows],
            "sizes": [row.size for row in rows],
            "flags": [row.flags for row in rows],
        }

    async def flags(self, arguments: Arguments) -> Any:
        """What changed there since, by UID: taken over where nobody changed the message's flags here."""
        account, pulled = await self._account(arguments)
        origin = _origin(arguments)
        wanted = {int(uid): flag_text(names) for uid, names in arguments["flags"].items()}
        rows = [row for row in await self._hop(pulled.rows, origin) if row.uid in wanted]
        changed = 0
        for place in {row.place for row in rows} & set(account.names()):
            mailbox = await account.open(place)
            try:
                mine = {unique(origin, row.uid).encode(): row for row in rows if row.place == place}
                uids = await account.hop(_by_id, mailbox.loaded.bases[:], mailbox.uids[:], set(mine))
                changed += await _change(
                    mailbox, [(uid, mine[name].flags, wanted[mine[name].uid]) for name, uid in uids.items()]
                )
            finally:
                mailbox.release()
        await self._hop(pulled.mark, origin, wanted)
        return {"changed": changed}

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
                digests = await self._hop(pulled.digests, origin)  # of another UIDVALIDITY
                fresh = [one for one in fetched if one.digest not in digests]
                without = await _append(account, place, origin, fresh)
                texts = {int(letter["uid"]): flag_text(letter["flags"]) for letter in arguments["letters"]}
                rows = [Row(one.uid, one.content.size, one.digest, place, texts[one.uid]) for one in fetched]
                await self._hop(pulled.add, origin, rows)
            except OverQuota as problem:
                raise OperationProblem("the account's quota is full: mailstack user quota") from problem
            finally:
                account.let_go()
        return {"place": place, "came": len(fresh), "there": len(fetched) - len(fresh), "without_keywords": without}

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
                here = (await account.hop(_by_id, mailbox.loaded.bases[:], mailbox.uids[:], {wanted})).get(wanted)
                if here is not None:
                    found[str(uid)] = hashlib.sha256(await mailbox.read(here)).hexdigest()
            finally:
                mailbox.release()
        return found


def flag_text(names: list[str]) -> str:
    """Flags as they are remembered and compared."""
    return " ".join(sorted({name.lower() if name.startswith("\\") else name for name in names} - {"\\recent"}))


def _by_id(bases: list[bytes], uids: Sequence[int], wanted: set[bytes]) -> dict[bytes, int]:
    """UIDs here, by EMAILID. There may be 100,000 messages: from a thread."""
    return {name: uid for base, uid in zip(bases, uids, strict=True) if (name := email_id(base)) in wanted}


async def _change(mailbox: Mailbox, changes: list[tuple[int, str, str]]) -> int:
    """(UID here, flags there before, flags there now): how many were changed."""
    together: dict[str, list[int]] = {}
    for uid, before, now in changes:
        place = mailbox.position(uid)
        if place is None:
            continue
        bits = mailbox.flags[place]
        flags, words = read_flags(before.split())
        have = frozenset(word.lower() for word in mailbox.keyword_names(bits))
        if Flags(bits & SYSTEM) == flags and have == frozenset(word.lower() for word in words):
            together.setdefault(now, []).append(uid)
    done = 0
    for now, uids in together.items():
        flags, words = read_flags(now.split())
        try:
            await mailbox.store(uids, How.REPLACE, flags, words)
        except TooManyKeywords:
            await mailbox.store(uids, How.REPLACE, flags)
        done += len(uids)
    return done


def _origin(arguments: Arguments) -> Origin:
    return Origin(str(arguments["source"]), str(arguments["mailbox"]), int(arguments["uid_validity"]))


def read_flags(names: Iterable[str]) -> tuple[Flags, frozenset[str]]:
    """System flags, and keywords as they can be here."""
    flags, words = Flags(0), set()
    for name in names:
        if name.startswith("\\"):
            flags |= FLAGS.get(name.lower(), Flags(0))
        else:
            words.add(keyword(name))
    return flags, frozenset(words - {""})


def _fetched(letter: dict[str, Any], content: Content, digest: str) -> _Fetched:
    return _Fetched(int(letter["uid"]), content, digest, letter.get("date"), *read_flags(letter["flags"]))


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
