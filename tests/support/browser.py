"""A browser without a window: it keeps its cookies, and sends forms as the pages hold them."""

import re
from html import unescape

import httpx

from tests.support.server import DOMAIN, PASSWORD, Server

BROWSER = {"accept": "text/html,application/xhtml+xml"}


class Browser(httpx.Client):
    """`tls`: by https, else by http from this machine."""

    def __init__(self, server: Server, *, tls: bool = False, headers: dict[str, str] | None = None) -> None:
        scheme = "https" if tls else "http"
        self.origin = f"{scheme}://127.0.0.1:{server.ports[scheme]}"
        headers = BROWSER | {"origin": self.origin, "sec-fetch-site": "same-origin"} | (headers or {})
        super().__init__(base_url=self.origin, verify=False, headers=headers, timeout=30)

    def log_in(self, user: str, password: str = PASSWORD, **more: str) -> httpx.Response:
        return self.post("/login", data={"user": f"{user}@{DOMAIN}", "password": password, **more})

    def token(self, path: str = "/logout") -> str:
        return hidden(self.get(path).text, "csrf")

    def submit(self, path: str, do: str, **fields: str) -> httpx.Response:
        """A form of a page, to its end."""
        return self.post(path, data={"csrf": self.token(path), "do": do, **fields}, follow_redirects=True)


def hidden(text: str, name: str) -> str:
    """The value of a hidden field of a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found, text
    return unescape(found[1])


def told(answer: httpx.Response) -> str:
    """What a page says was done, or why it was not."""
    found = re.findall(r'role="(?:status|alert)">(.*?)</p>', answer.text, re.DOTALL)
    return " ".join(unescape(re.sub("<[^>]+>", "", one)) for one in found)
