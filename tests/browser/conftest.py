"""A real browser before a real server: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from tests.server.conftest import Running, demo_model, serve

__all__ = ["demo_model", "serve"]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@dataclass
class Tab:
    """A page, and all it complained of and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    bytes: int = 0

    async def heard(self, side: str) -> None:
        """Until a side has a caption."""
        await self.page.locator(f".turn.{side}").first.wait_for()


OpenTab = Callable[..., Awaitable[Tab]]


@pytest.fixture
async def open_tab(tmp_path: Path) -> AsyncIterator[OpenTab]:
    """Opens pages: `await open_tab(running, "#/calls/CA1", width=390)`. Any complaint of the browser fails the test."""
    if not CHROMIUM:
        pytest.skip("no chromium here: apt-get install chromium, or name one in CHROMIUM")
    tabs: list[Tab] = []
    async with async_playwright() as driver:
        browser = await driver.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=CHROMIUM,
            args=list(FLAGS),
            accept_downloads=True,
            viewport={"width": 1280, "height": 900},
        )

        async def show(running: Running, place: str = "", *, width: int = 1280, **media: Any) -> Tab:
            page = await browser.new_page()
            tab = Tab(page)
            tabs.append(tab)
            page.set_default_timeout(15_000)
            page.on("console", lambda said: tab.complaints.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: tab.complaints.append(str(error)))
            page.on("request", lambda request: tab.requests.append(request.url))
            await page.set_viewport_size({"width": width, "height": 844 if width < 500 else 900})
            await page.emulate_media(**media)
            await page.goto(f"{running.server.url}/{place}")
            return tab

        yield show
        await browser.close()
    for tab in tabs:
        assert tab.complaints == []
