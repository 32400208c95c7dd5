"""Reports of TLS to the domains that ask for them (RFC 8460): once a day, about the day before, by mail and by HTTPS."""

import json
from dataclasses import replace

from mailstack.delivery.reporter import Reporter, readable
from mailstack.delivery.tls_posting import ReportPoster
from mailstack.log import get_logger
from mailstack.message.envelope import TlsWish
from mailstack.net.dns import DnsTemporary
from mailstack.store.transport import DAY, SessionResult, TransportStore
from mailstack.wire.tlsrpt import Failure, PolicyReport, TlsReport, parse_record, report_mail

log = get_logger()
POSTED_DAYS = 1  # for which a web server that does not take a report is tried again (RFC 8460 5.5)
REPORT_DOMAINS = 5000


class TlsReports:
    """send() what was not reported."""

    def __init__(self, store: TransportStore, reporter: Reporter, poster: ReportPoster) -> None:
        self._store = store
        self._reporter = reporter
        self._poster = poster

    async def send(self) -> int:
        """Send what was not reported of the last days; how many reports left. Raises StoreProblem."""
        sent = 0
        for day in self._reporter.days():
            results = await self._store.results(day)
            for domain in sorted(results)[:REPORT_DOMAINS]:
                sent += await self._report(day, domain, results[domain])
        return sent

    async def _report(self, day: int, domain: str, results: list[tuple[SessionResult, int]]) -> int:
        reporter = self._reporter
        try:
            to = parse_record(await reporter.texts(f"_smtp._tls.{domain}"))
        except DnsTemporary:
            return 0
        sender, now = await reporter.sender(), reporter.clock()
        receivers = [address for text in to.mail if (address := readable(text)) is not None]
        if not (receivers or to.web) or sender is None:
            await self._store.reported(day, domain, now)
            return 0
        report = TlsReport(
            reporter.hostname, str(sender), f"{day}.{domain}", float(day * DAY), float((day + 1) * DAY - 1),
            summed(domain, results),
        )  # fmt: skip
        if not await self._poster.post(to.web, report) and now < (day + 1 + POSTED_DAYS) * DAY:
            return 0  # RFC 8460 5.5: all of it again in some minutes
        data = report_mail(report, domain, reporter.hostname, str(sender), [str(one) for one in receivers], now)
        for address in receivers:
            await reporter.mail(reporter.new_id(), address, data, TlsWish.OPTIONAL)
        # After it is queued: a crash in between sends one twice, and loses none.
        await self._store.reported(day, domain, now)
        log.info(
            "tlsrpt.sent", report=report.id, domain=domain, to=[*map(str, receivers), *to.web], policies=len(report.policies)
        )
        return 1


def summed(domain: str, results: list[tuple[SessionResult, int]]) -> tuple[PolicyReport, ...]:
    """Results by policy."""
    found: dict[tuple[str, str, str], PolicyReport] = {}
    for one, count in results:
        key = (one.kind, one.policy, one.hosts)
        report = found.get(key)
        if report is None:
            report = PolicyReport(one.kind, domain, tuple(json.loads(one.policy)), tuple(json.loads(one.hosts)))
        if one.failure:
            failure = Failure(one.failure, count, one.host, one.address, "", one.reason)
            report = replace(report, failed=report.failed + count, failures=(*report.failures, failure))
        else:
            report = replace(report, successes=report.successes + count)
        found[key] = report
    return tuple(found.values())
