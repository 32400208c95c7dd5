"""DMARC aggregate reports to the domains that ask for them (RFC 7489 7.2): once a day, about the day before, by mail."""

from mailstack.delivery.reporter import Reporter, readable
from mailstack.log import get_logger
from mailstack.mailauth.dmarc_record import Record, parse_record
from mailstack.mailauth.dmarc_writing import About, Seen, report_mail
from mailstack.message.address import Address
from mailstack.message.errors import SyntaxProblem
from mailstack.net.dns import DnsTemporary
from mailstack.store.sightings import Sighting, Sightings
from mailstack.store.transport import DAY

log = get_logger()
REPORTS_A_DAY = 2000
REPORT_ROWS = 5000
RECEIVERS = 2  # of one report (RFC 7489 6.2 wants at least two)


class DmarcReports:
    """send() what was not reported of the last days."""

    def __init__(self, sightings: Sightings, reporter: Reporter) -> None:
        self.sightings = sightings
        self._reporter = reporter

    async def send(self) -> int:
        """How many mails left. Raises StoreProblem."""
        sent = 0
        for day in self._reporter.days():
            seen = await self.sightings.of(day)
            for domain in sorted(seen)[:REPORTS_A_DAY]:
                sent += await self._report(day, domain, seen[domain])
        return sent

    async def _report(self, day: int, domain: str, seen: list[tuple[Sighting, int]]) -> int:
        reporter = self._reporter
        try:
            record = await self._record(domain)
            receivers = await self._receivers(domain, record) if record is not None else []
        except DnsTemporary:
            return 0
        sender, now = await reporter.sender(), reporter.clock()
        if record is not None and sender is not None:
            for receiver in receivers:
                id = reporter.new_id()
                about = About(id, domain, record, day * DAY, (day + 1) * DAY - 1, reporter.hostname, str(sender))
                await reporter.mail(id, receiver, report_mail(about, map(_row, seen[:REPORT_ROWS]), str(receiver), now))
                log.info("dmarc.report_sent", id=id, domain=domain, to=str(receiver), rows=len(seen))
        # After it is queued: a crash in between sends one twice, and loses none.
        await self.sightings.reported(day, domain, now)
        return len(receivers) if sender is not None else 0

    async def _record(self, domain: str) -> Record | None:
        for text in await self._reporter.texts(f"_dmarc.{domain}"):
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
            address = readable(text.partition("!")[0]) if scheme.lower() == "mailto" else None
            if address is not None and len(found) < RECEIVERS and await self._wants(domain, address.domain):
                found.append(address)
        return found

    async def _wants(self, domain: str, receiver: str) -> bool:
        """RFC 7489 7.1: another domain must say that it takes reports about this one, else anybody could flood it."""
        if receiver == domain or receiver.endswith(f".{domain}") or domain.endswith(f".{receiver}"):
            return True
        return any(text.startswith("v=DMARC1") for text in await self._reporter.texts(f"{domain}._report._dmarc.{receiver}"))


def _row(seen: tuple[Sighting, int]) -> Seen:
    one, count = seen
    return Seen(
        one.source, count, one.disposition, one.dkim, one.spf, one.header_from, one.envelope_from,
        tuple(one.signatures.split("\n")) if one.signatures else (), one.sender, one.reason,
    )  # fmt: skip
