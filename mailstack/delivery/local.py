"""Queued messages for mailboxes here."""

from mailstack.delivery.outcome import Delivered, Outcome, later, never
from mailstack.message.envelope import Recipient
from mailstack.message.trace import return_path
from mailstack.policy.routing import Disabled, Local, Router, Unknown
from mailstack.store.content import Content
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.mailboxes import Mailboxes
from mailstack.store.mailbox.values import NewMessage
from mailstack.store.queue.queue import Queue, Queued
from mailstack.store.users.directory import Directory
from mailstack.wire.smtp import Reply


class LocalDelivery:
    """What could not be delivered at once, and notices to people here."""

    def __init__(self, router: Router, directory: Directory, mailboxes: Mailboxes, queue: Queue) -> None:
        self._router = router
        self._directory = directory
        self._mailboxes = mailboxes
        self._queue = queue

    async def deliver(self, queued: Queued, recipient: Recipient, number: int) -> Outcome:
        """The unique name keeps a repeated attempt from making a second copy."""
        routes = await self._router.route(recipient.address)
        places = [route for route in routes if isinstance(route, Local)]
        if not places:
            if isinstance(routes[0], Disabled):
                return never("the mailbox is switched off", "5.2.1")
            if isinstance(routes[0], Unknown):
                return never("there is no such mailbox", "5.1.1")
            return later("the address leads elsewhere now", "4.3.5")
        content = Content.of(await self._queue.read(queued))
        try:
            for place, route in enumerate(places):
                account = await self._mailboxes.account(self._directory.folder(route.account))
                unique = f"{queued.id}.{number}" if place == 0 else f"{queued.id}.{number}-{place}"
                message = NewMessage(content, return_path(queued.envelope.sender), unique=unique, fresh=True, once=True)
                await account.append("INBOX", message)
        except StoreProblem as problem:
            return later(f"the mailbox can't be written: {type(problem).__name__}", "4.3.0")
        finally:
            content.close()
        return Delivered(Reply(250, "2.1.5", "delivered"), None, confirms=False, final=True)
