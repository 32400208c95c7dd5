"""A certificate that is served will soon be over: the postmaster is told by mail."""

from collections.abc import Awaitable, Callable

from mailstack.certificates.proof import Expiring
from mailstack.log import get_logger
from mailstack.store.errors import StoreProblem

log = get_logger()
TEXT = """The certificate that it shows for

  {names}

will be over within {days} days: mail programs and other hosts will then refuse it. It was signed by {issuer}.
What is done about it, and what is served where, is told by:

  mailstack tls status
  mailstack tls served
"""


class CertificateNotice:
    """`tell` mails a subject and a text to the postmaster, or raises StoreProblem."""

    def __init__(self, tell: Callable[[str, str], Awaitable[None]], hostname: str) -> None:
        self._tell = tell
        self._hostname = hostname

    async def tell(self, expiring: Expiring) -> None:
        subject = f"The certificate of {self._hostname} will be over within {expiring.days} days"
        text = TEXT.format(names="\n  ".join(expiring.names), days=expiring.days, issuer=expiring.issuer)
        try:
            await self._tell(subject, text)
        except StoreProblem as problem:
            log.error("tls.notice_failed", problem=problem.detail)
