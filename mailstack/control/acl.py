"""acl.*: to whom else a mailbox is open, as its owner would say it by IMAP."""

from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem
from mailstack.control.finding import find_account
from mailstack.control.operations import Operation
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.rights import parse_rights, show_rights
from mailstack.policy.sharing import Identifier, NotAGrantee, Sharing, TooManyGrants
from mailstack.store.errors import NoSuchMailbox
from mailstack.store.mailbox.account import Account
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.users.directory import AccountRecord, Directory


class AclOperations:
    def __init__(self, directory: Directory, mailboxes: Mailboxes, sharing: Sharing) -> None:
        self._directory = directory
        self._mailboxes = mailboxes
        self._sharing = sharing

    def table(self) -> dict[str, Operation]:
        return {"acl.list": self.list, "acl.set": self.set, "acl.remove": self.remove}

    async def list(self, arguments: Arguments) -> Any:
        """Of one account's mailboxes, or of one of them."""
        _, account = await self._account(arguments["address"])
        rows = []
        for mailbox in sorted(account.mailboxes(), key=lambda one: one.name):
            for grant in await self._sharing.living(mailbox.grants):
                who = "-" * grant.negative + grant.address
                rows.append({"mailbox": mailbox.name, "who": who, "rights": show_rights(parse_rights(grant.rights))})
        wanted = arguments.get("mailbox")
        if wanted is None:
            return rows
        return [row for row in rows if row["mailbox"] == _known(account, wanted)]

    async def set(self, arguments: Arguments) -> Any:
        """`rights`: letters, with "+" or "-" before them to add or to remove some."""
        owner, account = await self._account(arguments["address"])
        text = str(arguments["rights"])
        sign = text[:1] if text[:1] in ("+", "-") else ""
        try:
            rights = parse_rights(text[len(sign) :])
        except SyntaxProblem:
            raise OperationProblem(f"{text!r} are no rights; they are letters of lrswipkxtea, and c and d (RFC 4314)") from None
        who = await self._identify(arguments["who"])
        try:
            await self._sharing.set(owner, account, _known(account, arguments["mailbox"]), who, sign, rights)
        except NotAGrantee:
            reason = "sharing.anyone is off" if who.account is None else "the owner has all rights"
            raise OperationProblem(f"{arguments['who']} can't be given rights: {reason}") from None
        except TooManyGrants:
            raise OperationProblem("the mailbox has all the rights that it can keep") from None

    async def remove(self, arguments: Arguments) -> Any:
        owner, account = await self._account(arguments["address"])
        who = await self._identify(arguments["who"])
        await self._sharing.remove(owner, account, _known(account, arguments["mailbox"]), who)

    async def _account(self, text: str) -> tuple[AccountRecord, Account]:
        record = await find_account(self._directory, text)
        return record, await self._mailboxes.account(self._directory.folder(record))

    async def _identify(self, text: str) -> Identifier:
        try:
            return await self._sharing.identify(text)
        except (NotAGrantee, SyntaxProblem):
            raise OperationProblem(f"{text} is neither an account's address nor anyone") from None


def _known(account: Account, name: str) -> str:
    try:
        return account.look(name).name
    except NoSuchMailbox:
        raise OperationProblem(f"there is no mailbox {name}") from None
