"""rejects.*: mail that was refused at the door and can be seen for some days (delivery/rejects.py)."""

import re
from collections.abc import Sequence
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_address
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.message.header import decode_words, first, split_header
from mailstack.policy.judgement import Judgement, read_evidence
from mailstack.policy.spam.learning import Learner
from mailstack.policy.spam.lessons import REJECTS, Lesson
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.foldername import INBOX
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.trace import Trace
from mailstack.store.users.directory import Directory

HEAD = 16 << 10  # octets of a message that are looked at
MOST = 500
WEIGHTY = 5
EXPLAINED = 100  # of them with the words of the trace; the others with the names of the rules
_TOLD = re.compile(r"^yes, the sender was told: ", re.IGNORECASE)


class RejectOperations:
    """One for the server."""

    def __init__(self, directory: Directory, mailboxes: Mailboxes, learner: Learner, trace: Trace) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._learner = learner
        self._trace = trace

    def table(self) -> dict[str, Operation]:
        return {"rejects.list": self.listing, "rejects.rescue": self.rescue}

    async def _account(self, arguments: Arguments) -> Account:
        record = await find_account(self._directory, arguments["address"])
        return await self._mailboxes.account(self._directory.folder(record))

    async def listing(self, arguments: Arguments) -> Any:
        """One row a message, the newest first: from whom, about what, what the sender was told, and why."""
        mailbox = await _open(await self._account(arguments))
        if mailbox is None:
            return []
        try:
            uids = list(mailbox.uids)[-MOST:]
            heads = await mailbox.read_spans([(uid, 0, HEAD) for uid in uids])
            ids = {
                uid: mailbox.email_id(uid).removesuffix(".r") for uid in uids[-EXPLAINED:] if mailbox.position(uid) is not None
            }
            rows = [
                _row(uid, mailbox.dates[place], mailbox.sizes[place], head)
                for uid, place, head in zip(uids, mailbox.places(uids), heads, strict=True)
                if head is not None and place is not None
            ]
        finally:
            mailbox.release()
        address = read_address(arguments["address"]).key
        return [{**row, "why": await self._seen(ids.get(row["uid"]), address) or row["why"]} for row in rows[::-1]]

    async def _seen(self, id: str | None, address: str) -> str:
        """What was seen in the message that weighed against it, in words; empty where the trace does not know any more."""
        events = await self._trace.story(id) if id is not None else []
        found: dict[str, Any] = next(
            (one for one in events if one["event"] == "judged" and one.get("account") == address), {"findings": []}
        )
        against = sorted((one for one in found["findings"] if one[1] > 0), key=lambda one: -float(one[1]))
        return "; ".join(str(text) for _, _, text in against[:WEIGHTY])

    async def rescue(self, arguments: Arguments) -> Any:
        """Move some into INBOX; the spam filter learns that they were wanted."""
        account = await self._account(arguments)
        mailbox = await _open(account)
        if mailbox is None:
            raise OperationProblem("nothing was refused, or it is gone by now")
        try:
            there = set(mailbox.uids)
            uids = sorted({int(uid) for uid in arguments["uids"]} & there)
            moved: Sequence[int] = (await mailbox.move(uids, INBOX)).uids if uids else ()
        finally:
            mailbox.release()
        await self._learner.teach(account, account.look(INBOX), moved, Lesson.WANTED)
        return {"rescued": len(moved)}


async def _open(account: Account) -> Mailbox | None:
    try:
        return await account.open(REJECTS)
    except NoSuchMailbox:
        return None


def _row(uid: int, date: int, size: int, head: bytes) -> dict[str, Any]:
    header, _ = split_header(head)
    told = decode_words(first(header, b"x-refused") or b"")
    return {
        "uid": uid,
        "time": date,
        "size": size,
        "from": decode_words(first(header, b"from") or b"")[:200],
        "subject": decode_words(first(header, b"subject") or b"")[:200],
        "told": _TOLD.sub("", told)[:300],
        "why": _why(read_evidence(header)),
    }


def _why(judgement: Judgement | None) -> str:
    """What weighed most against it."""
    if judgement is None:
        return ""
    against = sorted((one for one in judgement.findings if one.weight > 0), key=lambda one: -one.weight)
    return ", ".join(f"{one.rule} {one.weight:+.1f}" for one in against[:WEIGHTY])
