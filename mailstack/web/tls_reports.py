"""POST /tlsrpt takes reports of TLS that others send by HTTPS (RFC 8460 5.4): where rua= in our domains' records names it."""

from collections import deque
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from mailstack.message.errors import SyntaxProblem
from mailstack.store.errors import StoreProblem

PATH = "/tlsrpt"
TYPES = frozenset({"application/tlsrpt+gzip", "application/tlsrpt+json"})
SIZE = 1 << 20  # octets of a report as it comes
AN_HOUR = 300  # reports from all hosts together: they come once a day
AT_ONCE = 2

Take = Callable[[bytes], Awaitable[int]]


class TlsReportsTaken:
    """`take`: None where no reports are taken. It raises SyntaxProblem for what is none, StoreProblem."""

    def __init__(self, take: Callable[[], Take | None], clock: Callable[[], float]) -> None:
        self._take = take
        self._clock = clock
        self._lately: deque[float] = deque()
        self._busy = 0

    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, self._answer, methods=["POST"])]

    async def _answer(self, request: Request) -> Response:
        take = self._take()
        if take is None:
            raise HTTPException(404)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in TYPES:
            raise HTTPException(415, "A report of TLS is application/tlsrpt+gzip or application/tlsrpt+json.")
        self._admit()
        self._busy += 1
        try:
            await take(await _body(request))
        except SyntaxProblem as problem:
            raise HTTPException(400, f"This is no report of TLS: {problem.reason}") from None
        except StoreProblem:
            raise HTTPException(503, "The report can't be kept now; try again later.") from None
        finally:
            self._busy -= 1
        return PlainTextResponse("taken\n", 201)

    def _admit(self) -> None:
        """Strangers' reports cost bounded work and room."""
        now = self._clock()
        while self._lately and not now - 3600 < self._lately[0] <= now:
            self._lately.popleft()
        if len(self._lately) >= AN_HOUR or self._busy >= AT_ONCE:
            raise HTTPException(429, "Too many reports; try again later.", {"retry-after": "600"})
        self._lately.append(now)


async def _body(request: Request) -> bytes:
    """Raises HTTPException where it is too large: nothing more of it is read then."""
    found = bytearray()
    async for block in request.stream():
        found += block
        if len(found) > SIZE:
            raise HTTPException(413, f"A report has up to {SIZE} octets.", {"connection": "close"})
    return bytes(found)
