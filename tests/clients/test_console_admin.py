"""The admin's pages in a real Chromium: by keyboard alone, on a phone and on a desk, and without JavaScript."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chromium import DESKTOP, PHONE, Chromium, chromium
from tests.support.dnsserver import DnsServer
from tests.support.server import DOMAIN, PASSWORD, Server

pytestmark = pytest.mark.clients
PICTURES = os.environ.get("MAILSTACK_PICTURES")  # a folder, for who wants to look at the pages
TAB, ENTER = "\ue004", "\ue007"  # WebDriver 17.4.2
ADMIN = f"alice@{DOMAIN}"
PAGES = {
    "status": "/admin",
    "checks": "/admin/checks",
    "domains": "/admin/domains",
    "domain": f"/admin/domains/of?domain={DOMAIN}",
    "dns": f"/admin/domains/dns?domain={DOMAIN}",
    "accounts": "/admin/accounts",
    "account": f"/admin/accounts/of?address=bob@{DOMAIN}",
    "aliases": "/admin/aliases",
    "alias": f"/admin/aliases/of?source=info@{DOMAIN}",
    "queue": "/admin/queue",
    "trace": f"/admin/trace?who={ADMIN}",
    "story": f"/admin/trace?who={ADMIN}&words=offer",
    "sent": f"/admin/trace/sent?address={ADMIN}",
    "backups": "/admin/backups",
    "missing": "/admin/nothing",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose questions to the DNS are answered at once: there is nothing."""
    with DnsServer({}) as dns:
        settings = f'[dns]\nnameservers = ["127.0.0.1:{dns.port}"]\n[backup]\ndir = "{tmp_path_factory.mktemp("backups")}"\n'
        one = Server(tmp_path_factory.mktemp("console"), settings=settings)
        one.provision()
        one.start()
        one.run("user", "admin", ADMIN)
        one.run("alias", "add", f"info@{DOMAIN}", ADMIN, f"bob@{DOMAIN}")
        one.run("alias", "set", f"info@{DOMAIN}", "--post", "anyone")
        one.run("user", "app-password", "add", f"bob@{DOMAIN}", "Bob's phone")
        with one.submission("alice") as client:
            mail = f"From: {ADMIN}\r\nSubject: Offer <b>of the week</b>\r\n\r\nx\r\n"
            client.sendmail(ADMIN, ["far@[127.0.0.1]", f"bob@{DOMAIN}"], mail)
        yield one
        one.stop()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if shutil.which("chromedriver") is None:
        pytest.skip("needs Debian's chromium and chromium-driver")
    with chromium(tmp_path_factory.mktemp("downloads")) as one:
        yield one


def origin(server: Server) -> str:
    return f"http://127.0.0.1:{server.ports['http']}"


def focus(window: Chromium, selector: str) -> None:
    """With the Tab key, as somebody does who has no pointer."""
    for _ in range(60):
        if window.run("return !!document.activeElement && document.activeElement.matches(arguments[0])", selector):
            return
        window.press(TAB)
    raise AssertionError(f"the Tab key never comes to {selector}")


def wait(window: Chromium, script: str) -> None:
    end = time.monotonic() + 20
    while not window.run(f"return {script}"):
        assert time.monotonic() < end, f"never true: {script}\n{window.text()}"
        time.sleep(0.05)


def test_by_keyboard_alone(server: Server, window: Chromium) -> None:
    """Log in, add an account, try a message again."""
    window.size(*DESKTOP)
    window.get(f"{origin(server)}/admin/accounts")
    focus(window, "#user")
    window.press(f"{ADMIN}{TAB}{PASSWORD}{ENTER}")
    wait(window, "location.pathname == '/admin/accounts'")
    # The first stop is the way past the menu; the focus can be seen.
    window.press(TAB)
    assert window.run("return document.activeElement.className") == "skip"
    assert window.run("return getComputedStyle(document.activeElement).outlineStyle") != "none"
    window.press(ENTER)
    window.press(TAB)
    assert window.run("return document.querySelector('main').contains(document.activeElement)")
    focus(window, "#f-address")
    window.press(f"carol@{DOMAIN}{TAB}{TAB}5GiB{ENTER}")
    wait(window, "!!document.querySelector('.secret')")
    assert len(window.text(".secret")) == 23
    focus(window, "main a.button")
    window.press(ENTER)
    wait(window, "location.pathname == '/admin/accounts/of'")
    assert window.text("h1") == f"carol@{DOMAIN}"

    window.get(f"{origin(server)}/admin/queue")
    focus(window, "main button[value=retry]")
    before = window.run("return document.activeElement.id")
    # The page looks again by itself, and the focus stays where it was.
    window.run("window.table = document.querySelector('#queue')")
    window.run("htmx.ajax('GET', location.pathname, {source: '#queue', target: '#queue', select: '#queue', swap: 'outerHTML'})")
    wait(window, "document.querySelector('#queue') !== window.table")
    assert window.run("return document.activeElement.id") == before
    window.press(ENTER)
    wait(window, "!!document.querySelector('.told')")
    assert "is tried now" in window.text(".told")
    assert window.complaints() == []


def test_each_page_fits_and_breaks_no_rule_of_the_site(server: Server, window: Chromium) -> None:
    log_in(server, window)
    window.get(f"{origin(server)}/admin")
    wait(window, "document.querySelectorAll('#checks tbody tr').length > 8")  # they came by themselves
    assert "right" in window.text("#checks")
    for name, path in PAGES.items():
        for size, kind in ((DESKTOP, "desk"), (PHONE, "phone")):
            window.size(*size)
            window.dark(kind == "phone")
            window.get(origin(server) + path)
            wait(window, "!document.querySelector('[hx-trigger=load]')")
            assert window.overflows() == [], (name, kind)
            unlabelled = window.run("""
                return [...document.querySelectorAll('input:not([type=hidden], [hidden]), select, textarea')]
                    .filter(one => !one.labels.length && !one.ariaLabel).map(one => one.outerHTML)""")
            assert unlabelled == [], name
            assert window.run("return document.querySelectorAll('h1').length") == 1, name
            if PICTURES:
                window.picture(Path(PICTURES) / f"admin-{name}-{kind}.png")
    window.dark(False)
    complaints = [text for text in window.complaints() if "404" not in text]
    assert complaints == []


def test_a_backup_now_and_mail_out_of_it(server: Server, window: Chromium) -> None:
    """The page follows it by itself."""
    window.size(*DESKTOP)
    log_in(server, window)
    window.get(f"{origin(server)}/admin/backups")
    window.click("main button[value=now]")
    window.says("restored and compared")
    assert "proven" in window.text("table")
    window.get(f"{origin(server)}/admin/backups")
    window.type("#f-account", f"bob@{DOMAIN}")
    window.click("button[value=bring]")
    window.says("came back, from")


def test_without_javascript(server: Server, window: Chromium) -> None:
    window.size(*DESKTOP)
    log_in(server, window)
    window.scripts(False)
    try:
        window.get(f"{origin(server)}/admin")
        window.click("#checks a")
        window.shows("handshakes with our own listeners")
        window.get(f"{origin(server)}/admin/queue")
        window.click("main button[value=hold]")
        window.shows("is held", ".told")
        window.click("main button[value=release]")
        window.shows("is let go", ".told")
    finally:
        window.scripts(True)


def log_in(server: Server, window: Chromium) -> None:
    window.get(f"{origin(server)}/login")
    if window.url.endswith("/login"):
        window.type("#user", ADMIN)
        window.type("#password", f"{PASSWORD}\n")
        wait(window, "location.pathname != '/login'")
