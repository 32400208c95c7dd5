"""The cookie that holds a session's token."""

from starlette.requests import Request
from starlette.responses import Response

from mailstack.web.console.privacy import is_https


def cookie_name(request: Request) -> str:
    """RFC 6265bis 4.1.3.2: a name with this prefix is taken over TLS alone, for this host alone."""
    return "__Host-mailstack" if is_https(request) else "mailstack"


def set_cookie(request: Request, response: Response, token: str) -> None:
    """It lasts as long as the browser, or as the session."""
    response.set_cookie(cookie_name(request), token, path="/", secure=is_https(request), httponly=True, samesite="strict")


def drop_cookie(request: Request, response: Response) -> None:
    response.delete_cookie(cookie_name(request), path="/", secure=is_https(request), httponly=True, samesite="strict")
