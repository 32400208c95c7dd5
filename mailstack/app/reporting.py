"""Reports: those of others are taken in, and ours are sent."""

from mailstack.app.data import Data
from mailstack.app.settings import Settings
from mailstack.delivery.accept import Acceptor
from mailstack.delivery.tls_reports import TlsReports
from mailstack.message.address import Address, parse_address


class Reporting:
    """start(), then stop(); use() when settings change."""

    def __init__(self, data: Data, acceptor: Acceptor, settings: Settings) -> None:
        self._data = data
        self._acceptor = acceptor
        clock, hostname = data.surroundings.clock, data.config.hostname
        self._tls = TlsReports(
            data.transport, data.resolver, acceptor.submit, self._sender, hostname, clock, data.surroundings.randomness
        )
        self.use(settings)

    def start(self) -> None:
        self._tls.start()

    async def stop(self) -> None:
        await self._tls.stop()
        await self._data.report_mail.stop()

    def use(self, settings: Settings) -> None:
        """Put settings to use."""
        self._acceptor.reports = self._data.report_mail if settings.takes_reports else None
        self._tls.on = settings.sends_tls_reports
        self._postmaster = settings.postmaster

    async def _sender(self) -> Address | None:
        """In whose name reports leave: an address here, so that they can be signed."""
        domains = await self._data.directory.domains()
        if self._postmaster:
            address = parse_address(self._postmaster)
            if address.domain in domains:
                return address
        return Address("postmaster", min(domains)) if domains else None
