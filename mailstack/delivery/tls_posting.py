"""Reports of TLS by HTTPS (RFC 8460 5.4): to URLs that anybody may have written into the DNS."""

import ipaddress
import ssl
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from mailstack.log import get_logger
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.http import Asking, HttpProblem, ask
from mailstack.wire.tlsrpt import TlsReport, packed

log = get_logger()
MEDIA_TYPE = "application/tlsrpt+gzip"
RECEIVERS = 3  # of one report
ANSWER_LIMIT = 65536
REMEMBERED = 10_000


def is_public(address: str) -> bool:
    """Nobody makes this server speak to what only it can reach."""
    return ipaddress.ip_address(address).is_global


class ReportPoster:
    """One for the server. `context`: RFC 8460 3 lets a certificate that does not hold pass, for a report is no secret."""

    def __init__(self, resolver: Resolver, context: ssl.SSLContext, reachable: Callable[[str], bool] = is_public) -> None:
        self._resolver = resolver
        self._context = context
        self._reachable = reachable
        self._taken: dict[tuple[str, str], None] = {}  # (URL, report) of what was taken: not twice while we run

    async def post(self, urls: Iterable[str], report: TlsReport) -> bool:
        """Whether nobody is to be tried again: all have it, or never will."""
        done = True
        data = packed(report)
        for url in dict.fromkeys(list(urls)[:RECEIVERS]):
            if (url, report.id) in self._taken:
                continue
            try:
                done = await self._post(url, data) and done
            except (HttpProblem, DnsTemporary) as problem:
                log.info("tlsrpt.not_posted", url=url, report=report.id, problem=str(problem))
                done = False
                continue
            self._taken[url, report.id] = None
            while len(self._taken) > REMEMBERED:
                self._taken.pop(next(iter(self._taken)))
        return done

    async def _post(self, url: str, data: bytes) -> bool:
        """True where it is over. Raises HttpProblem, DnsTemporary: later, perhaps."""
        try:
            host = urlsplit(url).hostname or ""
            addresses = await self._resolver.addresses(host)
        except (ValueError, NoSuchDomain):
            addresses = []
        address = next((one for one in addresses if self._reachable(one)), None)
        if address is None:
            log.warning("tlsrpt.not_reachable", url=url)
            return True
        asking = Asking(address=address, limit=ANSWER_LIMIT, octets=data, media_type=MEDIA_TYPE, accept="*/*")
        answer = await ask(url, self._context, asking)
        if answer.status >= 500 or answer.status in (408, 429):
            raise HttpProblem(f"it answered {answer.status}")
        log.info("tlsrpt.posted", url=url, status=answer.status)
        return True
