"""The pages by which people set up their mail programs, in a real Chromium: on a phone and on a desk, light and dark."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chromium import DESKTOP, PHONE, Chromium, chromium
from tests.support.server import DOMAIN, Server

pytestmark = pytest.mark.clients
PICTURES = os.environ.get("MAILSTACK_PICTURES")  # a folder, for who wants to look at the pages


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if shutil.which("chromedriver") is None or shutil.which("zbarimg") is None:
        pytest.skip("needs Debian's chromium, chromium-driver and zbar-tools")
    with chromium(tmp_path_factory.mktemp("downloads")) as one:
        yield one


def read(window: Chromium, file: Path) -> str:
    """The code on a page, as a camera sees it: also where the page is dark."""
    window.dark()
    window.picture(file)
    return subprocess.run(["zbarimg", "-q", "--raw", file], capture_output=True, text=True, check=True).stdout


def look(window: Chromium, name: str) -> None:
    """Nothing sticks out, whatever the window and the scheme."""
    for width, height in (PHONE, DESKTOP):
        window.size(width, height)
        for dark in (False, True):
            window.dark(dark)
            assert window.overflows() == []
            if PICTURES:
                window.picture(Path(PICTURES) / f"setup-{name}-{width}-{'dark' if dark else 'light'}.png")


def test_a_device_is_set_up_with_the_link_that_the_command_printed(
    server: Server, window: Chromium, account: str, tmp_path: Path
) -> None:
    origin = f"http://127.0.0.1:{server.ports['http']}"
    (made,) = json.loads(server.run("user", "device", "add", f"{account}@{DOMAIN}", "Anna's phone", "--json").stdout)
    window.get(f"{origin}/setup")
    window.says("Set up a mail program", "h1")
    look(window, "public")
    path = "/setup/" + made["link"].rpartition("/")[2]
    window.get(origin + path)
    window.says("Set up Anna's phone", "h1")
    look(window, "link")
    window.click('form[action$="/settings"] button')
    window.says(made["password"])
    look(window, "settings")
    assert json.loads(read(window, tmp_path / "settings.png"))[2][-3:] == [f"{account}@{DOMAIN}", "", made["password"]]
    window.get(origin + path)
    window.says("This link is over", "h1")
    look(window, "over")
    mistakes = [one for one in window.complaints() if "404" not in one and "favicon" not in one]
    assert mistakes == []
