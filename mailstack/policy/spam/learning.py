"""People teach by moving and marking: a lesson is written down at once and learned soon, a message at a time.

Learning runs in the thread that judges, in pieces of one message, so that judging waits for a few milliseconds at most.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence

from mailstack.log import get_logger
from mailstack.mailauth.authres_reading import AuthenticationResults, read
from mailstack.mailauth.results import Authentication, Dkim, Dmarc, Result, Spf
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import every, first, split_header
from mailstack.message.tokens import MESSAGE_LIMIT, key, tokens
from mailstack.policy.spam import reputation
from mailstack.policy.spam.facts import Facts
from mailstack.policy.spam.lessons import Lesson
from mailstack.policy.spam.senders import Senders
from mailstack.store.errors import MessageGone, NoSuchMailbox, StoreFailed, StoreProblem
from mailstack.store.learned.door import LearnedDoor
from mailstack.store.learned.file import LearnedFile, Pending
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import AccountFolder
from mailstack.store.tasks import ended

AT_ONCE = 100  # lessons that are read from the file together
DAY = 86400
log = get_logger()
_RECEIVED_FROM = re.compile(rb"^from [^\r\n]*?\[(?:IPv6:)?([0-9A-Fa-f:.]+)\]")


class Learner:
    """One for the server. A lesson that can't be learned changes nothing for whoever moved the message."""

    def __init__(
        self, hostname: str, mailboxes: Mailboxes, door: LearnedDoor, senders: Senders, clock: Callable[[], float]
    ) -> None:
        self._hostname = hostname
        self._mailboxes = mailboxes
        self._door = door
        self._senders = senders
        self._clock = clock
        self._due: dict[str, AccountFolder] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def teach(self, account: Account, mailbox: Mailbox, uids: Sequence[int], lesson: Lesson) -> None:
        """Messages of a mailbox. Written down when it returns."""
        if not uids:
            return
        try:
            await self._door.run(
                account.folder.path, LearnedFile.put_off, mailbox.name, mailbox.uid_validity, list(uids), int(lesson)
            )
        except StoreFailed as problem:
            log.warning("spam.not_learned", folder=account.folder.path.name, problem=str(problem))
            return
        self.resume([account.folder])

    def resume(self, folders: Iterable[AccountFolder]) -> None:
        """Learn what is written down in these accounts."""
        self._due |= {str(folder.path): folder for folder in folders}
        if self._due and not self._closed and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def settled(self) -> None:
        """Until all lessons are learned."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """What is not learned yet stays written down."""
        self._closed = True
        await ended(self._task)

    async def _work(self) -> None:
        while self._due:
            _, folder = self._due.popitem()
            try:
                while await self._some(folder):
                    pass
            except StoreProblem as problem:
                log.warning("spam.not_learned", folder=folder.path.name, problem=str(problem))
            except Exception:
                log.exception("spam.learning_failed", folder=folder.path.name)

    async def _some(self, folder: AccountFolder) -> bool:
        """Some lessons of an account; False when there are no more."""
        lessons = await self._door.run(folder.path, LearnedFile.pending, AT_ONCE)
        if not lessons:
            return False
        account = await self._mailboxes.account(folder, limits=False)
        account.hold()
        try:
            for lesson in lessons:
                await self._learn(account, lesson)
                await self._door.run(folder.path, LearnedFile.done, [lesson.number])
        finally:
            account.let_go()
        return True

    async def _learn(self, account: Account, lesson: Pending) -> None:
        """One message; one that is gone meanwhile teaches nothing."""
        try:
            mailbox = await account.open(lesson.mailbox)
        except NoSuchMailbox:
            return
        try:
            if mailbox.uid_validity != lesson.validity:
                return
            id = mailbox.email_id(lesson.uid)
            data = await mailbox.read(lesson.uid, 0, MESSAGE_LIMIT)
        except MessageGone:
            return
        finally:
            mailbox.release()
        junk = None if lesson.lesson < 0 else bool(lesson.lesson)
        await self.learn(account.folder, id, data, junk)

    async def learn(self, folder: AccountFolder, id: str, data: bytes, junk: bool | None) -> bool:
        """A message by its bytes. False when that was known."""
        day = int(self._clock() // DAY)
        changed = await self._door.run(folder.path, _learn, id, data, junk, day)
        if changed:
            header, _ = split_header(data)
            names = sender_names(header, self._hostname)
            share = reputation.LEARNED
            if junk is not None:
                self._senders.count(folder.path, names, good=0.0 if junk else share, junk=share if junk else 0.0)
            log.info("spam.learned", folder=folder.path.name, junk=junk)
        return changed


def _learn(file: LearnedFile, id: str, data: bytes, junk: bool | None, day: int) -> bool:
    """In the thread of the files."""
    return file.learn(id, [key(one) for one in tokens(data)], junk, day)


def sender_names(header: bytes, hostname: str) -> list[str]:
    """By what the sender of a message is known that this server took in: from the fields that it wrote itself."""
    received = first(header, b"received") or b""
    found = _RECEIVED_FROM.match(received)
    peer = (
        found[1].decode("ascii") if found is not None and f" by {hostname} ".encode() in received.replace(b"\t", b" ") else ""
    )
    facts = Facts(hostname, peer, "", None, header, authentication=_authentication(header, hostname), here=not peer)
    names = facts.names
    writer = reputation.correspondent(facts)
    return list(dict.fromkeys([*names, writer] if writer is not None else names))


def _authentication(header: bytes, hostname: str) -> Authentication:
    """What our own Authentication-Results says; what claimed to be ours was taken out when the message came."""
    for value in every(header, b"authentication-results")[:5]:
        try:
            results = read(value)
        except SyntaxProblem:
            continue
        if results.host == hostname.lower():
            return _of(results)
    return Authentication()


def _of(results: AuthenticationResults) -> Authentication:
    def passed(method: str, kind: str, name: str) -> list[str]:
        return [value for one in results.of(method) if one.result == "pass" and (value := one.value(kind, name))]

    dkim = tuple(Dkim(Result.PASS, domain) for domain in passed("dkim", "header", "d"))
    senders = [one.rpartition("@")[2] for one in passed("spf", "smtp", "mailfrom")]
    spf = Spf(Result.PASS, senders[0]) if senders else Spf()
    found = {one.result for one in results.of("dmarc")}
    dmarc = Dmarc(next((one for one in (Result.PASS, Result.FAIL) if one.value in found), Result.NONE))
    return Authentication(spf=spf, dkim=dkim, dmarc=dmarc)
