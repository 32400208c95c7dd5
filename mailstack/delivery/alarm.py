"""What the postmaster must know at once, as a mail."""

import random
import textwrap
from collections.abc import Awaitable, Callable

from mailstack.log import get_logger
from mailstack.message.address import Address
from mailstack.message.envelope import Envelope, Recipient, new_id
from mailstack.message.notice import notice
from mailstack.store.content import Content

log = get_logger()


class Alarm:
    """`submit` takes a message over, durably; `postmaster` is in whose name it leaves, and to whom it goes."""

    def __init__(
        self,
        submit: Callable[[Envelope, Content], Awaitable[None]],
        postmaster: Callable[[], Awaitable[Address | None]],
        hostname: str,
        clock: Callable[[], float],
        randomness: random.Random,
    ) -> None:
        self._submit = submit
        self._postmaster = postmaster
        self._hostname = hostname
        self._clock = clock
        self._random = randomness

    async def tell(self, subject: str, text: str) -> None:
        """Lines that begin with blanks stay as they are. Raises StoreProblem."""
        to = await self._postmaster()
        if to is None:
            return
        now = self._clock()
        id = new_id(now, self._random)
        head = f"This is the mail server at {self._hostname}.\n\n"
        filled = "\n".join("\n".join(_fill(line)) for line in (head + text).splitlines())
        data = notice(id=id, host=self._hostname, sender=to, to=to, subject=subject, text=filled, moment=now)
        envelope = Envelope(id=id, sender=None, recipients=(Recipient(to),), received=now, own=True)
        await self._submit(envelope, Content.of(data))
        log.info("postmaster.told", subject=subject, id=id)


def _fill(line: str) -> list[str]:
    return [line] if line.startswith(" ") or not line else textwrap.wrap(line, 76, break_long_words=False)
