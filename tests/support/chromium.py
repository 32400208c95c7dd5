"""A real Chromium, driven over WebDriver (W3C) by Debian's chromedriver: as much of it as the tests use."""

import base64
import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.support.server import free_ports

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver 12.1
PHONE, DESKTOP = (390, 844), (1280, 900)
SECONDS = 20


class Chromium:
    """One window. Elements are named by CSS selectors; a page that is asked for is there when a call returns."""

    def __init__(self, client: httpx.Client, downloads: Path) -> None:
        self._client = client
        self.downloads = downloads

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._client.request(method, path, json=body if method == "POST" else None).json()["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(f"{path}: {answer['error']}: {answer['message'][:500]}")
        return answer

    def get(self, url: str) -> None:
        self._ask("POST", "url", {"url": url})

    @property
    def url(self) -> str:
        return str(self._ask("GET", "url"))

    def run(self, script: str, *arguments: Any) -> Any:
        return self._ask("POST", "execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script: str) -> None:
        """Wait until an expression of the page is true."""
        end = time.monotonic() + SECONDS
        while not self.run(f"return {script}"):
            assert time.monotonic() < end, script
            time.sleep(0.05)

    def says(self, text: str, selector: str = "body") -> None:
        """Wait for a text: the page before may still be there."""
        self.until(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})")

    def shows(self, text: str, selector: str = "body") -> None:
        """The same where pages may run no script."""
        end = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(AssertionError):  # the element went with its page
                if text in self.text(selector):
                    return
            assert time.monotonic() < end, text

    def find(self, selector: str) -> str:
        return str(self._ask("POST", "element", {"using": "css selector", "value": selector})[ELEMENT])

    def click(self, selector: str) -> None:
        self._ask("POST", f"element/{self.find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """In place of what is there."""
        element = self.find(selector)
        self._ask("POST", f"element/{element}/clear", {})
        self._ask("POST", f"element/{element}/value", {"text": text})

    def choose(self, selector: str, value: str) -> None:
        self.click(f'{selector} option[value="{value}"]')

    def text(self, selector: str = "body") -> str:
        return str(self._ask("GET", f"element/{self.find(selector)}/text"))

    def visible(self, selector: str) -> bool:
        return bool(self._ask("GET", f"element/{self.find(selector)}/displayed"))

    def press(self, keys: str) -> None:
        """Keys to whatever has the focus."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", "actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def size(self, width: int, height: int) -> None:
        """Of the page itself, as on a device of this size."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._ask("POST", "goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics})

    def dark(self, on: bool = True) -> None:
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self._ask("POST", "goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}})

    def scripts(self, on: bool) -> None:
        """Whether pages may run any."""
        self._ask("POST", "goog/cdp/execute", {"cmd": "Emulation.setScriptExecutionDisabled", "params": {"value": not on}})

    def picture(self, file: Path) -> None:
        """The whole page, however long."""
        shot = self._ask(
            "POST", "goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": True}}
        )
        file.write_bytes(base64.b64decode(shot["data"]))

    def overflows(self) -> list[str]:
        """What sticks out to the right of the window: nothing, where a page fits a phone."""
        script = """
            const width = document.documentElement.clientWidth;
            const held = one => one && (getComputedStyle(one).overflowX !== 'visible' || held(one.parentElement));
            return [...document.querySelectorAll('body *')]
                .filter(one => one.getBoundingClientRect().right > width + 1 && !held(one.parentElement))
                .map(one => one.outerHTML.slice(0, 120));"""
        return list(self.run(script))

    def complaints(self) -> list[str]:
        """What the browser's console says: refused by the policy, or broken."""
        return [entry["message"] for entry in self._ask("POST", "se/log", {"type": "browser"})]


@contextlib.contextmanager
def chromium(downloads: Path) -> Iterator[Chromium]:
    (port,) = free_ports(1)
    command = ["chromedriver", f"--port={port}", f"--log-path={downloads / 'chromedriver.log'}"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    session = None
    try:
        with httpx.Client(base_url=base, timeout=60, transport=httpx.HTTPTransport(retries=10)) as starting:
            options = {"args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"]}
            options["prefs"] = {"download.default_directory": str(downloads)}  # type: ignore[assignment]
            wanted = {
                "browserName": "chrome", "acceptInsecureCerts": True, "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"}, "timeouts": {"implicit": SECONDS * 1000},
            }  # fmt: skip
            made = starting.post("/session", json={"capabilities": {"alwaysMatch": wanted}}).json()["value"]
            assert "sessionId" in made, made
            session = made["sessionId"]
        with httpx.Client(base_url=f"{base}/session/{session}/", timeout=60) as client:
            yield Chromium(client, downloads)
            client.delete(f"{base}/session/{session}")
    finally:
        driver.terminate()
        driver.wait(SECONDS)
