"""Reports of TLS to the domains that ask for them (RFC 8460): once a day, about the day before, by mail and by HTTPS."""

import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

from mailstack.delivery.tls_posting import ReportPoster
from mailstack.log import get_logger
from mailstack.message.address import Address, parse_address
from mailstack.message.envelope import Envelope, Notify, Recipient, TlsWish, new_id
from mailstack.message.errors import SyntaxProblem
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.store.content import Content
from mailstack.store.transport import DAY, SessionResult, TransportStore
from mailstack.wire.tlsrpt import Failure, PolicyReport, TlsReport, Wanted, parse_record, report_mail

log = get_logger()
DAYS_BACK = 3  # days that are made up for
POSTED_DAYS = 1  # for which a web server that does not take a report is tried again (RFC 8460 5.5)
REPORT_DOMAINS = 5000

Submit = Callable[[Envelope, Content], Awaitable[None]]


class TlsReports:
    """send() what was not reported. `sender`: who is asked when a report is strange; None where there is nobody yet."""

    def __init__(
        self,
        store: TransportStore,
        resolver: Resolver,
        submit: Submit,
        sender: Callable[[], Awaitable[Address | None]],
        hostname: str,
        clock: Callable[[], float],
        randomness: random.Random,
        poster: ReportPoster,
    ) -> None:
        self._store = store
        self._poster = poster
        self._resolver = resolver
        self._submit = submit
        self._sender = sender
        self._hostname = hostname
        self._clock = clock
        self._random = randomness

    async def send(self) -> int:
        """Send what was not reported of the last days; how many reports left. Raises StoreProblem."""
        today = int(self._clock() // DAY)
        sent = 0
        for day in range(today - DAYS_BACK, today):
            results = await self._store.results(day)
            for domain in sorted(results)[:REPORT_DOMAINS]:
                sent += await self._report(day, domain, results[domain])
        return sent

    async def _report(self, day: int, domain: str, results: list[tuple[SessionResult, int]]) -> int:
        try:
            to = parse_record(await self._resolver.txt(f"_smtp._tls.{domain}"))
        except NoSuchDomain:
            to = Wanted()
        except DnsTemporary:
            return 0
        sender = await self._sender()
        recipients = [address for text in to.mail if (address := _address(text)) is not None]
        if not (recipients or to.web) or sender is None:
            await self._store.reported(day, domain, self._clock())
            return 0
        now = self._clock()
        id = new_id(now, self._random)
        report = TlsReport(
            self._hostname,
            str(sender),
            f"{day}.{domain}",
            float(day * DAY),
            float((day + 1) * DAY - 1),
            summed(domain, results),
        )
        if not await self._poster.post(to.web, report) and now < (day + 1 + POSTED_DAYS) * DAY:
            return 0  # RFC 8460 5.5: all of it again in some minutes
        data = report_mail(report, domain, self._hostname, str(sender), [str(one) for one in recipients], now)
        for number, address in enumerate(recipients):
            envelope = Envelope(
                id if number == 0 else new_id(now, self._random), None, (Recipient(address, Notify.NEVER),), now, own=True,
                tls=TlsWish.OPTIONAL,
            )  # fmt: skip
            await self._submit(envelope, Content.of(data))
        # After it is queued: a crash in between sends one twice, and loses none.
        await self._store.reported(day, domain, now)
        log.info("tlsrpt.sent", id=id, domain=domain, to=[*map(str, recipients), *to.web], policies=len(report.policies))
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


def _address(text: str) -> Address | None:
    try:
        return parse_address(text)
    except SyntaxProblem:
        return None
