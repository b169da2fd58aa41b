"""Pages in the Chromium of this machine, offline: what a page says on its console or asks the network for is kept."""

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DESKTOP, PHONE = 1280, 390
HEIGHT = 900
WIDTHS = (DESKTOP, PHONE)
SCHEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Opened:
    page: Page
    said: list[str] = field(default_factory=list)
    """Errors and warnings of the console, exceptions that nothing caught, refusals of the security policy."""
    asked: list[str] = field(default_factory=list)
    """URLs other than the page's own and data within it."""

    @property
    def scrolls_sideways(self) -> bool:
        wide, seen = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        return bool(wide > seen)


@functools.cache
def executable() -> str:
    """Skips the test where there is none that runs; in CI that fails."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is not None and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
        return found
    missing = "no Chromium is on this machine, which this needs (Debian: apt-get install chromium)"
    if os.environ.get("CI"):
        pytest.fail(f"CI is set, and {missing}")
    pytest.skip(missing)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for the module and no longer: playwright's event loop runs in this thread as long as it is there."""
    path = executable()
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=path, timeout=120_000) as browser,
    ):
        yield browser


@contextmanager
def opened(browser: Browser, file: Path, width: int = DESKTOP, scheme: str = "light") -> Iterator[Opened]:
    with browser.new_context(viewport={"width": width, "height": HEIGHT}, offline=True) as context:
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
        here = Opened(page)
        page.on("console", lambda message: here.said.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: here.said.append(str(error)))
        page.on("request", lambda request: _note(request, file, here))
        page.goto(file.as_uri())
        yield here


def _note(request: Request, file: Path, here: Opened) -> None:
    if not request.url.startswith(("data:", file.as_uri())):
        here.asked.append(request.url)
