"""Recipients of domains whose mail is passed on: known before their mail is taken, wherever that can be."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from mailstack.message.address import Address
from mailstack.policy.verdict import YES, Reject, Verdict, defer, reject
from mailstack.store.users.gateways import Gateway, Gateways, Knows
from mailstack.wire.smtp import Reply

GOOD_SECONDS, BAD_SECONDS = 6 * 3600.0, 600.0  # how long an answer is taken for true
STALE_SECONDS = 7 * 86400.0  # and one that was good, while the server can't be asked
REMEMBERED = 50_000

# Asks the server of a gateway for one recipient; None: it can't be asked now.
Ask = Callable[[Gateway, Address], Awaitable[Reply | None]]


class Passing:
    """One for the server. `ask` is given by the floor above, which speaks SMTP."""

    def __init__(self, gateways: Gateways, ask: Ask, clock: Callable[[], float]) -> None:
        self.gateways = gateways
        self._ask = ask
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Verdict]] = OrderedDict()

    def get(self, domain: str) -> Gateway | None:
        return self.gateways.get(domain)

    async def judge(self, gateway: Gateway, address: Address) -> Verdict:
        """Whether mail for a recipient is taken."""
        if gateway.knows is Knows.ANY:
            return YES
        if gateway.knows is Knows.LIST:
            named = await self.gateways.has(gateway.domain, address.key)
            return YES if named else reject(550, "5.1.1", "There is no such mailbox", "unknown")
        return await self._asked(gateway, address)

    async def _asked(self, gateway: Gateway, address: Address) -> Verdict:
        now = self._clock()
        at, known = self._known.get(address.key, (0.0, None))
        if known is not None and now - at < (BAD_SECONDS if isinstance(known, Reject) else GOOD_SECONDS):
            return known
        reply = await self._ask(gateway, address)
        if reply is not None and reply.positive:
            return self._keep(address, YES)
        if reply is not None and reply.permanent:
            return self._keep(address, Reject(Reply(550, reply.enhanced or "5.1.1", reply.text[:200]), "unknown"))
        if known is YES and now - at < STALE_SECONDS:
            # It was good before; the queue waits for the server.
            return YES
        return defer(450, "4.4.1", "The server that knows this recipient can't be asked now; try again later", "gateway")

    def _keep(self, address: Address, verdict: Verdict) -> Verdict:
        self._known[address.key] = self._clock(), verdict
        self._known.move_to_end(address.key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return verdict
