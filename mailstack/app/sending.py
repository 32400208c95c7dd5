"""What sends: signing, alignment, the TLS of other hosts, and the way to them."""

from mailstack.app.data import Data
from mailstack.app.settings import Settings
from mailstack.delivery.alignment import Alignment
from mailstack.delivery.callout import Callout
from mailstack.delivery.outgoing import Outgoing
from mailstack.delivery.reaching import Reach
from mailstack.delivery.remote import RemoteDelivery
from mailstack.delivery.sts import StsPolicies
from mailstack.delivery.tls_policy import TlsPolicies
from mailstack.log import get_logger
from mailstack.net.dnssec import Dnssec
from mailstack.net.tls import client_context
from mailstack.policy.passing import Passing

log = get_logger()


class Sending:
    """start(), then stop(); use() when settings change."""

    def __init__(self, data: Data, settings: Settings) -> None:
        clock, hostname = data.surroundings.clock, data.config.hostname
        self._data = data
        opportunistic, verified = client_context(verify=False), client_context(verify=True)
        self._alignment = Alignment(data.resolver, data.suffixes, data.signer, hostname)
        self._outgoing = Outgoing(data.queue, data.signer, self._alignment, data.trace, hostname, clock)
        sts = StsPolicies(data.transport, data.resolver, verified, clock)
        self._policies = TlsPolicies(data.transport, sts, Dnssec(data.resolver), clock)
        reach = Reach(self._policies, opportunistic, verified, clock)
        self.remote = RemoteDelivery(
            settings.remote, data.resolver, data.queue, self._outgoing, reach, opportunistic, verified, data.gateways.get
        )
        self.passing = Passing(data.gateways, Callout(data.resolver, hostname, opportunistic).ask, clock)
        self.use(settings)

    async def start(self) -> None:
        await self._data.transport.open()
        self._data.rotation.start()

    async def stop(self) -> None:
        await self._data.rotation.stop()
        await self._outgoing.stop()

    def use(self, settings: Settings) -> None:
        """Put settings to use."""
        sending = settings.sending
        self._data.resolver.use(list(settings.nameservers), dnssec=sending.dnssec)
        if sending.dnssec and not self._data.resolver.trusts_ad:
            log.warning("dns.not_trusted", problem="dns.dnssec: the system's name servers are not on this machine; no DANE")
        self._data.rotation.overlap, self._data.signer.valid = sending.key_overlap, sending.signature_valid
        self._data.signer.forget()
        self._alignment.forget()
        self._outgoing.defers = sending.defers_unaligned
        self._policies.keeps, self._policies.uses_sts = sending.keeps_tls, sending.mta_sts
        self.remote.use(settings.remote)
