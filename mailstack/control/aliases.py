"""alias.set, alias.unset, alias.lists: aliases as mailing lists."""

import re
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_address
from mailstack.control.operations import Operation
from mailstack.store.users.directory import Directory
from mailstack.store.users.mailings import Mailing, Posting

NAME_LIMIT = 100
_URL = re.compile(r"(?:https?://|mailto:)[!-;=?-~]{1,500}")


class AliasOperations:
    """One for the server."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def table(self) -> dict[str, Operation]:
        return {"alias.set": self.set, "alias.unset": self.unset, "alias.lists": self.lists}

    async def set(self, arguments: Arguments) -> Any:
        """What is not given keeps its value."""
        address = read_address(arguments["address"])
        before = (await self._directory.mailings()).get(address.key, Mailing(address.key))
        posters = arguments.get("posters")
        mailing = Mailing(
            address.key,
            _posting(arguments.get("post")) or before.posting,
            frozenset(read_address(one).key for one in posters) if posters is not None else before.posters,
            _name(arguments.get("title"), before.name),
            _owner(arguments.get("owner"), before.owner),
            _unsubscribe(arguments.get("unsubscribe"), before.unsubscribe),
        )
        await self._directory.set_mailing(mailing)
        return _row(mailing)

    async def unset(self, arguments: Arguments) -> Any:
        await self._directory.unset_mailing(read_address(arguments["address"]).key)

    async def lists(self, _: Arguments) -> Any:
        return [_row(one) for _, one in sorted((await self._directory.mailings()).items())]


def _row(mailing: Mailing) -> dict[str, Any]:
    return {
        "address": mailing.address,
        "post": mailing.posting.value,
        "posters": sorted(mailing.posters),
        "name": mailing.name,
        "owner": mailing.owner or None,
        "unsubscribe": mailing.unsubscribe or None,
    }


def _posting(text: str | None) -> Posting | None:
    if text is None:
        return None
    try:
        return Posting(text)
    except ValueError:
        raise OperationProblem(f"{text!r} is not one of {', '.join(Posting)}") from None


def _name(text: str | None, before: str) -> str:
    if text is None:
        return before
    if len(text) > NAME_LIMIT or not text.isprintable():
        raise OperationProblem(f"a name has up to {NAME_LIMIT} characters, none of them a control character")
    return text


def _owner(text: str | None, before: str) -> str:
    return before if text is None else str(read_address(text)) if text else ""


def _unsubscribe(text: str | None, before: str) -> str:
    if text is None:
        return before
    if text and _URL.fullmatch(text) is None:
        raise OperationProblem(f"{text!r} is not an URL that begins with https:, http: or mailto:")
    return text
