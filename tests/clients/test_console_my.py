"""The owner's pages in a real Chromium: rules, an answer while away, a takeout; on a phone and on a desk, light and dark."""

import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import unused
from tests.support.chromium import DESKTOP, PHONE, Chromium, chromium
from tests.support.server import DOMAIN, PASSWORD, Server

pytestmark = pytest.mark.clients
PICTURES = os.environ.get("MAILSTACK_PICTURES")  # a folder, for who wants to look at the pages
TAB, ENTER = "\ue004", "\ue007"  # WebDriver 17.4.2
PAGES = (
    "account",
    "devices",
    "rules",
    "rules/edit?rule=0",
    "rules/script",
    "away",
    "forwarding",
    "rejected",
    "deleted",
    "security",
    "codes",
)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if shutil.which("chromedriver") is None:
        pytest.skip("needs Debian's chromium and chromium-driver")
    with chromium(tmp_path_factory.mktemp("downloads")) as one:
        yield one


def send(server: Server, account: str, subject: str) -> None:
    with server.smtp() as client:
        text = f"From: Team <x@far.test>\r\nTo: {account}@{DOMAIN}\r\nSubject: {subject}\r\n\r\nx\r\n"
        client.sendmail("x@far.test", [f"{account}@{DOMAIN}"], text.encode())


def log_in(window: Chromium, origin: str, account: str) -> None:
    window.get(f"{origin}/login")
    window.type("#user", f"{account}@{DOMAIN}")
    window.type("#password", f"{PASSWORD}\n")


def test_an_owner_walks_through_the_pages(server: Server, window: Chromium) -> None:
    account, origin = unused(server), f"http://127.0.0.1:{server.ports['http']}"
    for subject in ("our team meets", "hello", "team again"):
        send(server, account, subject)
    with server.imap(account) as connection:
        connection.append("Trash", r"(\Deleted)", None, b"From: Shop <news@shop.test>\r\nSubject: Gone by mistake\r\n\r\n")  # type: ignore[arg-type]
        connection.select("Trash")
        connection.expunge()
        connection.create("Rejects")
        told = b"X-Refused: yes, the sender was told: 550 5.7.1 This looks like unwanted mail\r\n"
        told += b"X-Spam-Status: Yes, score=13.0 required=5.0 tests=[bayes=3.5, dnsbl.zen=3.0]\r\n"
        connection.append("Rejects", None, None, told + b"From: Shop <news@shop.test>\r\nSubject: Your invoice\r\n\r\n")
    window.size(*DESKTOP)
    log_in(window, origin, account)
    window.says(f"{account}@{DOMAIN}", "h1")

    # A rule: what a line does not need is not there.
    window.get(f"{origin}/my/rules")
    window.click('a[href="/my/rules/edit"]')
    window.type("#f-name", "Team")
    assert not window.visible("[name=value-0]")
    window.choose("[name=what-0]", "subject")
    assert window.visible("[name=value-0]")
    assert not window.visible("[name=header-0]")
    window.type("[name=value-0]", "team")
    window.choose("[name=does-0]", "move")
    window.type("[name=target-0]", "Lists/Team")
    window.click("[name=do][value=try]")
    window.says("Of 3 messages, 2 would have been treated otherwise", "#trial")
    window.click("[name=do][value=save]")
    window.says("“Team” saved", "[role=status]")

    # Away.
    window.get(f"{origin}/my/away")
    window.click("[name=on]")
    window.type("#f-text", "I am back in May.")
    window.click("[name=do][value=save]")
    window.says("mail is answered", "[role=status]")

    # The takeout.
    window.get(f"{origin}/my/account")
    window.type("main [name=password]", PASSWORD)
    window.click("[name=do][value=takeout]")
    with zipfile.ZipFile(downloaded(window.downloads)) as found:
        assert len(json.loads(found.read("manifest.json"))["messages"]) == 4

    # What is shown once.
    window.get(f"{origin}/my/devices")
    window.type("#f-label", "My phone")
    window.type("main [name=password]", PASSWORD)
    window.click("[name=do][value=add]")
    assert len(window.text(".secret")) > 20
    look(window, "devices-made")
    window.get(f"{origin}/my/codes")
    window.type("main [name=password]", PASSWORD)
    window.click("[name=do][value=begin]")
    window.until("document.querySelector('img.qr')?.naturalWidth > 100")
    look(window, "codes-begun")

    # By keyboard alone: the first key leads past the menu.
    window.get(f"{origin}/my/rules/script")
    window.press(TAB + ENTER)
    window.until("location.hash === '#content'")

    look_at_all(window, origin)
    assert [text for text in window.complaints() if "favicon" not in text] == []


def look_at_all(window: Chromium, origin: str) -> None:
    for name, size in (("desk", DESKTOP), ("phone", PHONE)):
        window.size(*size)
        for dark in (False, True):
            window.dark(dark)
            for page in PAGES:
                window.get(f"{origin}/my/{page}")
                look(window, f"{page.partition('?')[0].replace('/', '-')}-{name}{'-dark' if dark else ''}")


def look(window: Chromium, name: str) -> None:
    assert window.overflows() == [], name
    if PICTURES is not None:
        window.picture(Path(PICTURES) / f"{name}.png")


def downloaded(folder: Path) -> Path:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for file in folder.glob("*.zip"):
            return file
        time.sleep(0.05)
    raise TimeoutError(list(folder.iterdir()))
