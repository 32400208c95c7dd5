"""DMARC aggregate reports to the domains that ask for them (RFC 7489 7.2): once a day, about the day before, by mail."""

import random
from collections.abc import Awaitable, Callable

from mailstack.delivery.tls_reports import DAYS_BACK, Submit
from mailstack.log import get_logger
from mailstack.mailauth.dmarc_record import Record, parse_record
from mailstack.mailauth.dmarc_writing import About, Seen, report_mail
from mailstack.message.address import Address, parse_address
from mailstack.message.envelope import Envelope, Notify, Recipient, new_id
from mailstack.message.errors import SyntaxProblem
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.store.content import Content
from mailstack.store.sightings import Sighting, Sightings
from mailstack.store.transport import DAY

log = get_logger()
REPORTS_A_DAY = 2000
REPORT_ROWS = 5000
RECEIVERS = 2  # of one report (RFC 7489 6.2 wants at least two)


class DmarcReports:
    """send() what was not reported of the last days. `sender`: who is asked when a report is strange."""

    def __init__(
        self,
        sightings: Sightings,
        resolver: Resolver,
        submit: Submit,
        sender: Callable[[], Awaitable[Address | None]],
        hostname: str,
        clock: Callable[[], float],
        randomness: random.Random,
    ) -> None:
        self.sightings = sightings
        self._resolver = resolver
        self._submit = submit
        self._sender = sender
        self._hostname = hostname
        self._clock = clock
        self._random = randomness

    async def send(self) -> int:
        """How many mails left. Raises StoreProblem."""
        today, sent = int(self._clock() // DAY), 0
        for day in range(today - DAYS_BACK, today):
            seen = await self.sightings.of(day)
            for domain in sorted(seen)[:REPORTS_A_DAY]:
                sent += await self._report(day, domain, seen[domain])
        return sent

    async def _report(self, day: int, domain: str, seen: list[tuple[Sighting, int]]) -> int:
        try:
            record = await self._record(domain)
            receivers = await self._receivers(domain, record) if record is not None else []
        except DnsTemporary:
            return 0
        sender = await self._sender()
        if record is not None and sender is not None:
            now = self._clock()
            for receiver in receivers:
                id = new_id(now, self._random)
                about = About(id, domain, record, day * DAY, (day + 1) * DAY - 1, self._hostname, str(sender))
                data = report_mail(about, map(_row, seen[:REPORT_ROWS]), str(receiver), now)
                envelope = Envelope(id, None, (Recipient(receiver, Notify.NEVER),), now, own=True)
                await self._submit(envelope, Content.of(data))
                log.info("dmarc.report_sent", id=id, domain=domain, to=str(receiver), rows=len(seen))
        # After it is queued: a crash in between sends one twice, and loses none.
        await self.sightings.reported(day, domain, self._clock())
        return len(receivers) if sender is not None else 0

    async def _record(self, domain: str) -> Record | None:
        for text in await self._texts(f"_dmarc.{domain}"):
            try:
                if (record := parse_record(text)) is not None:
                    return record
            except SyntaxProblem:
                continue
        return None

    async def _receivers(self, domain: str, record: Record) -> list[Address]:
        """Those who are asked for by the domain, and want it."""
        found: list[Address] = []
        for uri in record.aggregate_reports:
            scheme, _, text = uri.partition(":")
            try:
                address = parse_address(text.partition("!")[0])
            except SyntaxProblem:
                continue
            if scheme.lower() == "mailto" and len(found) < RECEIVERS and await self._wants(domain, address.domain):
                found.append(address)
        return found

    async def _wants(self, domain: str, receiver: str) -> bool:
        """RFC 7489 7.1: another domain must say that it takes reports about this one, else anybody could flood it."""
        if receiver == domain or receiver.endswith(f".{domain}") or domain.endswith(f".{receiver}"):
            return True
        return any(text.startswith("v=DMARC1") for text in await self._texts(f"{domain}._report._dmarc.{receiver}"))

    async def _texts(self, name: str) -> list[str]:
        try:
            return await self._resolver.txt(name)
        except NoSuchDomain:
            return []


def _row(seen: tuple[Sighting, int]) -> Seen:
    one, count = seen
    return Seen(
        one.source, count, one.disposition, one.dkim, one.spf, one.header_from, one.envelope_from,
        tuple(one.signatures.split("\n")) if one.signatures else (), one.sender, one.reason,
    )  # fmt: skip
