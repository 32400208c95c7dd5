"""Reports: those of others are taken in, and ours are sent."""

from mailstack.app.data import Data
from mailstack.app.settings import Settings
from mailstack.delivery.accept import Acceptor
from mailstack.delivery.daily import Daily
from mailstack.delivery.dmarc_reports import DmarcReports
from mailstack.delivery.reporter import Reporter
from mailstack.delivery.tls_posting import ReportPoster
from mailstack.delivery.tls_reports import TlsReports
from mailstack.log import get_logger
from mailstack.message.address import Address, parse_address
from mailstack.net.tls import client_context
from mailstack.policy.origin import Origins
from mailstack.store.errors import StoreProblem
from mailstack.store.sightings import Sightings

log = get_logger()


class Reporting:
    """start(), then stop(); use() when settings change."""

    def __init__(self, data: Data, acceptor: Acceptor, origins: Origins, settings: Settings) -> None:
        self._data = data
        self._acceptor = acceptor
        clock, hostname = data.surroundings.clock, data.config.hostname
        reporter = Reporter(data.resolver, acceptor.submit, self.sender, hostname, clock, data.surroundings.randomness)
        poster = ReportPoster(data.resolver, client_context(verify=False))
        self._tls = TlsReports(data.transport, reporter, poster)
        self._origins = origins
        self._sightings = Sightings(data.transport)
        self._dmarc = DmarcReports(self._sightings, reporter)
        often = (data.transport.flush, self._sightings.flush)
        self._daily = Daily(often, (), clock, data.surroundings.randomness)
        self.use(settings)

    def start(self) -> None:
        self._daily.start()

    async def stop(self) -> None:
        await self._daily.stop()
        await self._data.report_mail.stop()
        try:
            await self._sightings.flush()
        except StoreProblem as problem:
            log.error("reports.not_written", problem=problem.detail)

    def use(self, settings: Settings) -> None:
        """Put settings to use."""
        reporting = settings.reporting
        self._acceptor.reports = self._data.report_mail if reporting.takes else None
        self._origins.sightings = self._sightings if reporting.sends_dmarc else None
        self._daily.days = [
            *([self._tls.send] if reporting.sends_tls else []),
            *([self._dmarc.send] if reporting.sends_dmarc else []),
        ]
        self._postmaster = settings.postmaster

    async def sender(self) -> Address | None:
        """In whose name reports and notices leave: an address here, so that they can be signed."""
        domains = await self._data.directory.domains()
        if self._postmaster:
            address = parse_address(self._postmaster)
            if address.domain in domains:
                return address
        return Address("postmaster", min(domains)) if domains else None
