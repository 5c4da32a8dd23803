"""A real Chromium without a window, to look at pages as people do.

It has a profile of its own, fetches nothing of its own accord, and keeps what pages
write to the console.
"""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from processes import descendants, kill_all, wait_until
from servers import missing

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
_LONGEST_S = 120.0  # that a page may take on a machine with other things to do


class Browser:
    """One Chromium with one page; closes with `close`."""

    def __init__(self, folder: Path, width: int = 1400, height: int = 900) -> None:
        """Start it; the test is skipped or fails where there is none.

        Args:
            folder: Of its profile; empty or not there.
            width: Of the page, in CSS pixels.
            height: Of the page, in CSS pixels.
        """
        if not (CHROMIUM.exists() and DRIVER.exists()):
            missing(
                "no Chromium here; what to do: apt-get install chromium chromium-driver"
            )
        options = ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for option in (*_OPTIONS, f"--user-data-dir={folder}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # a home of its own: it keeps a few files outside of its profile, too
        home = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        service = Service(str(DRIVER), env=home)
        self.driver = Chrome(options, service)
        self._service = service
        self.resize(width, height)

    def open(self, url: str) -> None:
        """Load a page anew, and wait until its own files are there."""
        # an address that differs in its last part alone would not be loaded
        self.driver.get("about:blank")
        self.driver.get(url)

    def resize(
        self,
        width: int,
        height: int,
        *,
        scale: float = 1.0,
        scheme: Literal["light", "dark"] = "light",
    ) -> None:
        """Give the page a size.

        Args:
            width: In CSS pixels.
            height: In CSS pixels.
            scale: Pixels of a picture for each of them.
            scheme: Which colours the page is told that people prefer.
        """
        size = {"width": width, "height": height, "deviceScaleFactor": scale}
        self._tell("Emulation.setDeviceMetricsOverride", **size, mobile=False)
        preferred = {"name": "prefers-color-scheme", "value": scheme}
        self._tell("Emulation.setEmulatedMedia", features=[preferred])

    def go_offline(self) -> None:
        """Cut the page off from every network; files of this machine can be read."""
        limits = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self._tell("Network.enable")
        self._tell("Network.emulateNetworkConditions", offline=True, **limits)

    def find(self, css: str, text: str = "") -> WebElement:
        """Wait for an element that is to be seen and has a text in it."""
        found: list[WebElement] = []

        def is_there() -> bool:
            found[:] = self.find_all(css, text)
            return bool(found)

        self.wait(is_there, f"{css} with {text!r}")
        return found[0]

    def see(self, text: str) -> None:
        """Wait until the page says something."""
        self.wait(lambda: text in self.text, repr(text))

    def find_all(self, css: str, text: str = "") -> list[WebElement]:
        """Elements that are to be seen now and have a text in them."""
        try:
            return [
                element
                for element in self.driver.find_elements(By.CSS_SELECTOR, css)
                if element.is_displayed() and text in element.text
            ]
        except StaleElementReferenceException:  # the page has changed meanwhile
            return []

    def wait(self, is_so: Callable[[], bool], what: str) -> None:
        """Wait until something is so.

        Raises:
            TimeoutError: naming the page, and what it says instead.
        """
        try:
            wait_until(is_so, _LONGEST_S, what, pause_s=0.2)
        except TimeoutError as error:
            page = f"{self.driver.current_url} says: {self.text}"
            raise TimeoutError(f"{error}; {page[:3000]}") from None

    @property
    def text(self) -> str:
        """All that the page says now."""
        return self.driver.find_element(By.TAG_NAME, "body").text

    def errors(self) -> list[str]:
        """What the page has complained of on the console since the last time."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """Take a picture of what is seen, or of the whole page, as PNG."""
        options = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self._tell("Page.getLayoutMetrics")["cssContentSize"]
            options["clip"] = {**size, "scale": 1}
        picture = self._tell("Page.captureScreenshot", **options)
        file.write_bytes(base64.b64decode(picture["data"]))

    def close(self) -> None:
        """End it, with every process of its own."""
        process = self._service.process
        pids = [process.pid, *descendants(process.pid)] if process else []
        self.driver.quit()
        kill_all(pids)

    def _tell(self, command: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.driver.execute_cdp_cmd(command, arguments)
        return answer
