"""Mailing lists: who may write to one, and the fields that its mail carries (RFC 2919, RFC 2369)."""

from email.header import Header

from mailstack.message.address import Address
from mailstack.message.header import every
from mailstack.policy.routing import ToList
from mailstack.store.users.directory import AccountRecord, Directory
from mailstack.store.users.mailings import Mailing, Posting


class Lists:
    """Asked at RCPT, and by the queue for what was sent on here."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    async def may_post(self, to: ToList, sender: Address | None, account: AccountRecord | None) -> bool:
        """`account`: who logged in. Notices, which have no sender, are nothing for a list."""
        if sender is None:
            return False
        mailing = to.mailing
        if mailing.posting is Posting.ANYONE or await self._nested(mailing, sender):
            return True
        if account is None and await self._directory.is_local_domain(sender.domain):
            # Who is from here logs in: the sender alone proves nothing.
            return False
        names = {sender.key} | ({account.address} if account is not None else set())
        if names & mailing.posters:
            return True
        if mailing.posting is Posting.DOMAIN:
            return account is not None and account.domain == mailing.domain
        return mailing.posting is Posting.MEMBERS and bool(names & {target.lower() for target in to.targets})

    async def _nested(self, mailing: Mailing, sender: Address) -> bool:
        """Whether another list here, of which this one is a member, sends it on."""
        base, found, _ = sender.local.rpartition("+bounces")
        if not found:
            return False
        outer = await self._directory.entry(Address(base, sender.domain).key)
        return outer.mailing is not None and mailing.address in outer.targets and sender.key == outer.mailing.bounces


def list_fields(mailing: Mailing, link: str | None = None) -> bytes:
    """What stands in front of a list's mail. `link`: by which one member leaves it with one click."""
    name = mailing.name.replace('"', "")
    shown = f'"{name}" ' if name and name.isascii() else f"{Header(name, 'utf-8').encode()} " if name else ""
    post = "NO" if mailing.posting is Posting.NAMED else f"<mailto:{mailing.address}>"
    local, _, domain = mailing.address.rpartition("@")
    fields = [f"List-Id: {shown}<{mailing.id}>", f"List-Post: {post}", f"List-Owner: <mailto:{local}+owner@{domain}>"]
    if mailing.unsubscribe:
        fields.append(f"List-Unsubscribe: <{mailing.unsubscribe}>")
    elif link is not None:
        fields += [f"List-Unsubscribe: <{link}>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"]  # RFC 8058 3.1
    return "".join(f"{field}\r\n" for field in [*fields, "Precedence: list"]).encode("ascii", "replace")


def passed(header: bytes, mailing: Mailing) -> bool:
    """Whether the list sent a message on before."""
    return any(f"<{mailing.id}>".encode() in value for value in every(header, b"list-id"))
