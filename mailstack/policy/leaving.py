"""Leaving a mailing list by one click (RFC 8058): a link of its own for each member, in the mail that he gets."""

from collections.abc import Callable

from mailstack.log import get_logger
from mailstack.message.address import parse_address
from mailstack.message.errors import SyntaxProblem
from mailstack.message.leaving import make, read
from mailstack.store.users.directory import Directory, DirectoryProblem
from mailstack.store.users.mailings import Mailing

log = get_logger()
PATH = "/leave"
LONGEST = 900  # characters of a link: no line of a header may be longer than 998 octets


class Leaving:
    """One for the server. `web`: where its pages are, "https://mail.example.org"; None: none are served."""

    def __init__(self, directory: Directory, web: Callable[[], str | None]) -> None:
        self._directory = directory
        self._web = web
        self._secret: str | None = None

    async def link(self, mailing: Mailing, member: str) -> str | None:
        """None where there is none: no pages, the list's owner has a link of his own, or the member is a list itself."""
        web = self._web()
        if mailing.unsubscribe or web is None or not web.startswith("https://"):
            return None
        try:
            entry = await self._directory.entry(parse_address(member).key)
        except SyntaxProblem:
            return None
        if entry.mailing is not None:  # its members are not to take it out
            return None
        link = f"{web}{PATH}/{make(mailing.address, member, await self._key())}"
        return link if len(link) <= LONGEST else None

    async def of(self, token: str) -> tuple[str, str]:
        """The list and the member. Raises SyntaxProblem for a link that was not made here."""
        return read(token, await self._key())

    async def leave(self, token: str) -> str:
        """The member is none any more; the list's address. Raises SyntaxProblem as of(), StoreProblem."""
        mailing, member = await self.of(token)
        try:
            await self._directory.remove_alias(mailing, member)
        except DirectoryProblem:  # he left before
            return mailing
        log.info("list.left", list=mailing, member=member)
        return mailing

    async def _key(self) -> str:
        if self._secret is None:
            self._secret = await self._directory.setting("leave-secret")
        return self._secret
