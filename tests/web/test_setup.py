"""Mail programs set themselves up at a running server, as each of them asks."""

import html.parser
import http.client
import imaplib
import json
import plistlib
import shutil
import smtplib
import ssl
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mailstack.cli.reaching import trusting
from mailstack.web.setup.domains import Domains, address_of
from mailstack.wire.autodiscover import OUTLOOK
from tests.support.server import Server
from tests.wire.test_client_settings import request

Answer = tuple[int, dict[str, str], bytes]


class Browser:
    """Asks the server under a name."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def ask(
        self, path: str, host: str = "mail.a.test", method: str = "GET", body: bytes | None = None, *, tls: bool = True
    ) -> Answer:
        ports = self._server.ports
        connection = (
            http.client.HTTPSConnection("127.0.0.1", ports["https"], timeout=20, context=trusting())
            if tls
            else http.client.HTTPConnection("127.0.0.1", ports["http"], timeout=20)
        )
        try:
            connection.request(method, path, body, {"Host": host})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@pytest.fixture
def browser(server: Server) -> Browser:
    return Browser(server)


WELL_KNOWN = "/.well-known/autoconfig/mail/config-v1.1.xml"


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("autoconfig.a.test", "/mail/config-v1.1.xml"),
        ("autoconfig.a.test", "/mail/config-v1.1.xml?emailaddress=alice%40a.test"),
        ("autoconfig.a.test", "/mail/config-v1.1.xml?emailaddress=nobody%40a.test"),
        ("autoconfig.a.test", "/mail/config-v1.1.xml?emailaddress=%25EMAILADDRESS%25"),
        ("AUTOCONFIG.A.TEST.:80", "/mail/config-v1.1.xml"),
        ("a.test", WELL_KNOWN),
        ("a.test", f"{WELL_KNOWN}?emailaddress=Alice@A.Test"),
        ("mail.a.test", f"{WELL_KNOWN}?emailaddress=alice@a.test"),
        ("mail.a.test", WELL_KNOWN),
        ("127.0.0.1", "/mail/config-v1.1.xml"),
        ("[::1]:8080", "/mail/config-v1.1.xml"),
    ],
)
def test_autoconfig_answers_with_an_address_and_without(browser: Browser, server: Server, host: str, path: str) -> None:
    for tls in (True, False):
        status, headers, body = browser.ask(path, host, tls=tls)
        assert (status, headers["content-type"].partition(";")[0]) == (200, "text/xml")
        root = ElementTree.fromstring(body)
        assert root.findtext("emailProvider/domain") == "a.test"
        ports = {one.findtext("port") for one in root.iter("incomingServer")}
        assert ports == {str(server.ports[name]) for name in ("imaps", "imap", "pop3s", "pop3")}


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("autoconfig.b.test", "/mail/config-v1.1.xml"),
        ("b.test", WELL_KNOWN),
        ("a.test", f"{WELL_KNOWN}?emailaddress=alice@b.test"),
        ("autoconfig.", "/mail/config-v1.1.xml"),
        ("<b>", "/mail/config-v1.1.xml"),
    ],
)
def test_autoconfig_is_silent_of_what_is_not_here(browser: Browser, host: str, path: str) -> None:
    assert browser.ask(path, host)[0] == 404


def test_who_asks_learns_nothing_of_accounts(browser: Browser) -> None:
    for path in (f"{WELL_KNOWN}?emailaddress=", "/setup/mail.mobileconfig?emailaddress="):
        there, nowhere = (browser.ask(f"{path}{user}@a.test")[2] for user in ("alice", "carol"))
        if "mobileconfig" in path:
            assert len(there) - len(nowhere) in range(-3, 4)  # a signature with EC has 70 to 72 octets
        else:
            assert there == nowhere
    there, nowhere = (
        browser.ask("/autodiscover/autodiscover.xml", method="POST", body=request(f"{user}@a.test"))[2]
        for user in ("alice", "carol")
    )
    assert there.replace(b"alice", b"carol") == nowhere


@pytest.mark.parametrize(
    "path", ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml", "/AutoDiscover/AutoDiscover.xml"]
)
def test_outlook_finds_its_xml_in_any_case(browser: Browser, server: Server, path: str) -> None:
    status, _, body = browser.ask(path, "autodiscover.a.test", "POST", request("alice@a.test"))
    assert status == 200
    types = [one.text for one in ElementTree.fromstring(body).iter("{" + OUTLOOK + "}Type")]
    assert types == ["IMAP", "IMAP", "POP3", "POP3", "SMTP", "SMTP"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x><EMailAddress>a@a.test</EMailAddress></x>', b"600"),
        (b"x" * 70_000, b"600"),
        (b"", b"600"),
        (request("nonsense"), b"600"),
        (request("alice@b.test"), b"601"),
        (request(schema="http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006"), b"601"),
    ],
)
def test_outlook_is_told_no_in_its_own_words(browser: Browser, body: bytes, code: bytes) -> None:
    status, _, answer = browser.ask("/autodiscover/autodiscover.xml", method="POST", body=body)
    assert status == 200
    assert b"<ErrorCode>" + code in answer


def test_outlook_in_json(browser: Browser, server: Server) -> None:
    one = "/autodiscover/autodiscover.json?Email=alice@a.test&Protocol="
    status, _, body = browser.ask(f"{one}AutodiscoverV1", "autodiscover.a.test")
    assert (status, json.loads(body)["Url"]) == (
        200,
        f"https://mail.a.test:{server.ports['https']}/autodiscover/autodiscover.xml",
    )
    assert browser.ask("/AutoDiscover/autodiscover.json/v1.0/alice@a.test?Protocol=autodiscoverv1")[0] == 200
    assert browser.ask(f"{one}ActiveSync&RedirectCount=1")[0] == 404
    assert browser.ask("/autodiscover/autodiscover.json?Email=alice@b.test&Protocol=AutodiscoverV1")[0] == 404
    assert browser.ask("/autodiscover/autodiscover.json?Email=alice@a.test")[0] == 400


class _Page(html.parser.HTMLParser):
    """A page whose elements are closed in order, and where it points."""

    VOID = ("meta", "link", "input", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.places: list[str] = []
        self.names: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.places += [value for name, value in attributes if name in ("href", "src", "action") and value]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_for_people_needs_nothing_from_elsewhere(browser: Browser, server: Server) -> None:
    status, _, body = browser.ask("/setup")
    page = _Page(body.decode())
    assert status == 200
    assert all(place.startswith(("/", "#")) and not place.startswith("//") for place in page.places)
    assert str(server.ports["imaps"]).encode() in body
    assert b"you@a.test" in body


def profile_of(data: bytes, folder: Path) -> dict[str, Any]:
    """What a device reads: the signature is good, and made by the certificate that the server shows."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    (folder / "signed").write_bytes(data)
    command = [
        "openssl",
        "smime",
        "-verify",
        "-inform",
        "DER",
        "-in",
        folder / "signed",
        "-noverify",
        "-signer",
        folder / "who",
    ]
    done = subprocess.run(command, capture_output=True, check=True)
    found: dict[str, Any] = plistlib.loads(done.stdout)
    return found


def test_a_profile_for_everybody_is_signed_and_has_no_password(browser: Browser, server: Server, tmp_path: Path) -> None:
    status, headers, body = browser.ask("/setup/mail.mobileconfig?emailaddress=alice@a.test")
    assert (status, headers["content-type"]) == (200, "application/x-apple-aspen-config")
    (account,) = profile_of(body, tmp_path)["PayloadContent"]
    assert account["IncomingMailServerPortNumber"] == server.ports["imaps"]
    assert "IncomingPassword" not in account
    shown = ssl.get_server_certificate(("127.0.0.1", server.ports["https"]))
    assert ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert((tmp_path / "who").read_text())
    for address in ("", "nonsense", "alice@b.test"):
        assert browser.ask(f"/setup/mail.mobileconfig?emailaddress={address}")[0] == 404


def device(server: Server, user: str, label: str) -> dict[str, Any]:
    (made,) = json.loads(server.run("user", "device", "add", f"{user}@a.test", label, "--json").stdout)
    assert isinstance(made, dict)
    return made


def path_of(made: dict[str, Any]) -> str:
    return "/setup/" + made["link"].rpartition("/")[2]


def test_a_link_gives_a_device_its_profile_once(browser: Browser, server: Server, account: str, tmp_path: Path) -> None:
    made = device(server, account, "Anna's <phone>")
    path = path_of(made)
    for _ in range(2):  # a preview takes nothing
        status, headers, body = browser.ask(path)
        assert (status, headers["cache-control"]) == (200, "no-store")
        assert b"Anna&#39;s &lt;phone&gt;" in body
        assert made["password"].encode() not in body
    status, headers, _ = browser.ask(f"{path}/profile", method="POST")
    assert status == 303
    assert browser.ask(headers["location"], method="HEAD")[0] == 200
    status, answer, body = browser.ask(headers["location"])
    assert (status, answer["cache-control"]) == (200, "no-store")
    (payload,) = profile_of(body, tmp_path)["PayloadContent"]
    with imaplib.IMAP4_SSL("127.0.0.1", payload["IncomingMailServerPortNumber"], ssl_context=trusting()) as reading:
        reading.login(payload["IncomingMailServerUsername"], payload["IncomingPassword"])
    with smtplib.SMTP_SSL("127.0.0.1", payload["OutgoingMailServerPortNumber"], context=trusting()) as sending:
        sending.login(payload["OutgoingMailServerUsername"], payload["OutgoingPassword"])
    assert browser.ask(headers["location"])[0] == 404
    for tail, method in (("", "GET"), ("/profile", "POST"), ("/settings", "POST")):
        status, _, body = browser.ask(path + tail, method=method)
        assert status == 404
        assert b"This link is over" in body


def test_a_link_shows_settings_and_a_code_once(browser: Browser, server: Server, account: str) -> None:
    made = device(server, account, "laptop")
    assert browser.ask(f"{path_of(made)}/settings")[0] == 405
    status, headers, body = browser.ask(f"{path_of(made)}/settings", method="POST")
    assert (status, headers["cache-control"]) == (200, "no-store")
    page = _Page(body.decode())
    assert made["password"].encode() in body
    assert any(place.startswith("data:image/svg") for place in page.places)
    assert browser.ask(f"{path_of(made)}/settings", method="POST")[0] == 404
    server.run("user", "device", "remove", f"{account}@a.test", "laptop")
    with imaplib.IMAP4("127.0.0.1", server.ports["imap"]) as client, pytest.raises(imaplib.IMAP4.error):
        client.login(f"{account}@a.test", made["password"])


def test_the_command_shows_card_link_and_code(server: Server, account: str) -> None:
    shown = server.run("user", "device", "add", f"{account}@a.test", "phone").stdout
    assert f"port {server.ports['imaps']} (TLS)" in shown
    assert f"https://mail.a.test:{server.ports['https']}/setup/" in shown
    assert "▀" in shown
    assert "phone" in server.run("user", "device", "list", f"{account}@a.test").stdout
    again = server.run("user", "device", "add", f"{account}@a.test", "phone", check=False)
    assert again.returncode == 1
    assert server.run("user", "device", "add", "nobody@a.test", "phone", check=False).returncode == 1
    assert f"port {server.ports['submissions']} (TLS)" in server.run("clients").stdout
    rows = json.loads(server.run("clients", "--json").stdout)
    assert {row["port"] for row in rows} >= {server.ports["imaps"], server.ports["submissions"]}


async def test_domains_are_found_in_any_writing_and_a_server_of_many_says_its_own_name() -> None:
    async def served() -> frozenset[str]:
        return frozenset({"xn--bcher-kva.test", "a.test"})

    domains = Domains(served, lambda: frozenset({"mail.a.test"}))
    assert await domains.of("autoconfig.xn--bcher-kva.test", None) == "xn--bcher-kva.test"
    assert await domains.of("", address_of("Anna@BÜCHER.test")) == "xn--bcher-kva.test"
    assert await domains.of("mail.a.test", None) == "mail.a.test"
    assert await domains.of("autoconfig.autoconfig.a.test", None) is None
    assert await domains.of("", None) is None
