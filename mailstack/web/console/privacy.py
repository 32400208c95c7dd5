"""Whether nobody between can read or write what a browser and we say, and whether a request comes from a page of ours."""

import re
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mailstack.policy.login import is_loopback

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")
_HERE = re.compile(r"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?")
_LOCAL_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9_.~/?=&%@:+-]*")
PORTS = {"http": ":80", "https": ":443"}


def is_https(request: Request) -> bool:
    return bool(request.scope["scheme"] == "https")


def is_private(request: Request) -> bool:
    """TLS; or a browser on this machine: no proxy stands between, and its address bar shows this machine."""
    if is_https(request):
        return True
    peer = request.client.host if request.client else ""
    here = _HERE.fullmatch(request.headers.get("host", "").lower())
    return is_loopback(peer) and here is not None and not request.scope["state"].get("forwarded")


def to_https(request: Request, site: str | None) -> Response | None:
    """The same page at `site`, by the name that the browser knows; None where nothing there is private."""
    host, https = request.headers.get("host", ""), urlsplit(site or "")
    if https.scheme != "https" or request.method not in ("GET", "HEAD") or not _HOST.fullmatch(host):
        return None
    name = re.sub(r":[0-9]+$", "", host)
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"https://{name}{f':{https.port}' if https.port else ''}{quote(request.url.path)}{query}", 307)


def is_own(request: Request) -> bool:
    """Whether a form was sent from a page of this site, as browsers tell; what is no browser tells nothing."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    scheme = str(request.scope["scheme"])
    own = f"{scheme}://{request.headers.get('host', '')}".lower()
    return origin.lower().removesuffix(PORTS[scheme]) == own.removesuffix(PORTS[scheme])


def local_path(text: str) -> str:
    """Where to go after a login, if that is a page of this site; else the first page."""
    return text if _LOCAL_PATH.fullmatch(text) else "/"
