"""reports.*: what others report of mail in our names, and of TLS with our hosts."""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from mailstack.control.arguments import Arguments, OperationProblem, read_domain
from mailstack.control.operations import Operation
from mailstack.delivery.report_mail import ReportMail
from mailstack.message.errors import SyntaxProblem
from mailstack.store.reports import ReportStore


class ReportOperations:
    def __init__(self, store: ReportStore, mail: ReportMail, clock: Callable[[], float]) -> None:
        self._store = store
        self._mail = mail
        self._clock = clock

    def table(self) -> dict[str, Operation]:
        return {"reports.summary": self.summary, "reports.list": self.list_, "reports.add": self.add}

    async def summary(self, arguments: Arguments) -> Any:
        """By domain, source and result; `kind`: "dmarc" or "tls"."""
        domain = read_domain(arguments["domain"]) if arguments.get("domain") else ""
        return await self._store.summary(arguments["kind"], self._since(arguments), domain)

    async def list_(self, arguments: Arguments) -> Any:
        return await self._store.listing(self._since(arguments))

    def _since(self, arguments: Arguments) -> float:
        return self._clock() - 86400.0 * float(arguments.get("days") or 30)

    async def add(self, arguments: Arguments) -> Any:
        """A report from a file: XML, JSON, packed, or a whole message, in Base64."""
        try:
            data = base64.b64decode(arguments["data"], validate=True)
            return {"new": await self._mail.take("by hand", data)}
        except (SyntaxProblem, binascii.Error) as problem:
            raise OperationProblem(f"{arguments.get('file', 'the file')}: {problem}") from None
