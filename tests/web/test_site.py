"""What every answer carries, also one that went wrong."""

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from mailstack.web.console.home import ErrorPages
from mailstack.web.console.templates import Templates
from mailstack.web.site import HEADERS, build


async def broken(request: Request) -> Response:
    raise ValueError("a secret <script>")


@pytest.mark.parametrize(("accept", "kind"), [("text/html,*/*", "text/html"), ("*/*", "text/plain")])
async def test_what_goes_wrong_is_told_without_its_cause(accept: str, kind: str) -> None:
    templates = Templates(hostname="mail.a.test", version="1", asset=lambda name: f"/static/x/{name}")
    site = build([Route("/broken", broken)], ErrorPages(templates).explain)
    transport = httpx.ASGITransport(site)
    async with httpx.AsyncClient(transport=transport, base_url="http://mail.a.test", headers={"accept": accept}) as client:
        with capture_logs() as events:
            answer = await client.get("/broken")
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith(kind)
    assert "secret" not in answer.text
    assert answer.headers["content-security-policy"] == HEADERS["content-security-policy"]
    assert [(event["event"], event["path"]) for event in events] == [("http.failed", "/broken")]
