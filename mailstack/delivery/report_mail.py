"""Reports that come as mail (RFC 7489 7.2.1.1, RFC 8460 5.3): found in messages to the postmaster, read, and kept.

Rule: the mail itself is delivered like any other, and no report can harm or delay it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable

from mailstack.log import get_logger
from mailstack.mailauth import dmarc_report
from mailstack.mailauth.authres_reading import read
from mailstack.mailauth.dmarc_report import DmarcReport
from mailstack.message.envelope import Envelope
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import every, first, split_header
from mailstack.message.mime import Part, walk
from mailstack.message.transfer import UnknownEncoding, decode_body
from mailstack.message.unpack import unpack
from mailstack.store.content import Content
from mailstack.store.errors import StoreProblem
from mailstack.store.reports import ReportStore
from mailstack.store.trace import Trace
from mailstack.wire import tlsrpt
from mailstack.wire.tlsrpt import TlsReport

log = get_logger()
NAMES = frozenset({"postmaster", "dmarc", "dmarc-reports", "tlsrpt", "tls-reports"})
SIZE = 8 << 20  # octets of a message with a report
WAITING = 20
PARTS = 50
_TYPES = frozenset(
    (b"application/zip", b"application/x-zip", b"application/x-zip-compressed", b"application/gzip", b"application/x-gzip",
     b"application/tlsrpt+gzip", b"application/tlsrpt+json", b"application/xml", b"text/xml", b"application/octet-stream")
)  # fmt: skip


class ReportMail:
    """look() at what was accepted; the work is done afterwards, one message after another."""

    def __init__(
        self,
        store: ReportStore,
        trace: Trace,
        domains: Callable[[], Awaitable[Collection[str]]],
        hostname: str,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._trace = trace
        self._domains = domains
        self._hostname = hostname
        self._clock = clock
        self._waiting: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(WAITING)
        self._task: asyncio.Task[None] | None = None

    async def look(self, envelope: Envelope, content: Content, prefix: bytes) -> None:
        """A message that was accepted; only what says that it is a report is read at all."""
        named = any(one.address.local.partition("+")[0].lower() in NAMES for one in envelope.recipients)
        if not named or content.size > SIZE or self._waiting.full():
            return
        header, _ = split_header(content.head(65536))
        if not _says_so(header):
            return
        try:
            data = await asyncio.get_running_loop().run_in_executor(None, lambda: b"".join(content.chunks()))
        except OSError as problem:
            log.warning("report.unreadable", id=envelope.id, problem=str(problem))
            return
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())
        if not self._waiting.full():
            self._waiting.put_nowait((envelope.id, prefix + data))

    async def _work(self) -> None:
        while not self._waiting.empty():
            id, data = self._waiting.get_nowait()
            try:
                await self.take(id, data)
            except (SyntaxProblem, StoreProblem) as problem:
                log.warning("report.unreadable", id=id, problem=str(problem))
            except Exception:
                log.exception("report.failed", id=id)

    async def take(self, id: str, data: bytes) -> int:
        """How many new reports there are in a message or a file. Raises SyntaxProblem where there is none, StoreProblem."""
        reports = await asyncio.to_thread(reports_in, data)
        header, _ = split_header(data[:65536])
        return await self._keep(id, reports, proved=self._is_proved(header))

    async def take_posted(self, data: bytes) -> int:
        """One report of TLS that came by HTTPS, from whomever. Raises as take()."""
        report = await asyncio.to_thread(lambda: tlsrpt.parse_report(unpack(data)))
        return await self._keep("https", [report], proved=False)

    async def _keep(self, id: str, reports: Iterable[DmarcReport | TlsReport], *, proved: bool) -> int:
        domains = await self._domains()
        new = 0
        for report in reports:
            added = await self._store.add(report, domains, self._clock(), proved=proved)
            new += added
            kind = "dmarc" if isinstance(report, DmarcReport) else "tls"
            self._trace.record(id, "report", kind=kind, organisation=report.organisation, report=report.id, new=added)
            log.info("report.taken", id=id, kind=kind, organisation=report.organisation, report=report.id, new=added)
        return new

    def _is_proved(self, header: bytes) -> bool:
        """This server's own field stands first; whoever else says so is not asked."""
        try:
            found = read((every(header, b"authentication-results") or [b""])[0])
        except SyntaxProblem:
            return False
        return found.host == self._hostname.lower() and any(one.result == "pass" for one in found.of("dmarc"))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


def _says_so(header: bytes) -> bool:
    subject = (first(header, b"subject") or b"").lower()
    return (
        b"report domain" in subject
        or first(header, b"tls-report-domain") is not None
        or b"tlsrpt" in (first(header, b"content-type") or b"")
    )


def reports_in(data: bytes) -> list[DmarcReport | TlsReport]:
    """The reports in a message, or in a file by itself; from a thread. Raises SyntaxProblem where there is none."""
    if data[:1] in (b"<", b"{") or data[:2] in (b"\x1f\x8b", b"PK") or data[:3] == b"\xef\xbb\xbf":
        return [parse(unpack(data))]
    found: list[DmarcReport | TlsReport] = []
    problem = SyntaxProblem("there is no report in it")
    for part in _leaves(walk(data))[:PARTS]:
        kind = part.type + b"/" + part.subtype
        if kind not in _TYPES:
            continue
        try:
            found.append(parse(unpack(decode_body(data[part.body : part.end], part.encoding))))
        except UnknownEncoding:
            continue
        except SyntaxProblem as wrong:
            problem = wrong
    if not found:
        raise problem
    return found


def parse(data: bytes) -> DmarcReport | TlsReport:
    """XML is DMARC's, JSON is that of TLS. Raises SyntaxProblem."""
    return tlsrpt.parse_report(data) if data.lstrip()[:1] == b"{" else dmarc_report.parse_report(data)


def _leaves(part: Part) -> list[Part]:
    found: list[Part] = []
    waiting = [part]
    while waiting and len(found) < PARTS:
        one = waiting.pop(0)
        if one.children:
            waiting += one.children
        else:
            found.append(one)
    return found
