"""A real browser before a real server: Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, async_playwright

from tests.models import ProcessOf
from tests.server.conftest import Running, Serve, serving
from tests.web.written_call import WrittenCall

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
# Every test of the ring: one loop, since driver and browser live longer than a test.
RING = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]
HOSTILE = '<img src=x onerror=alert(1)>"&'


@dataclass
class Tab:
    """A page, and all it complained of and asked for. `expected`: parts of complaints that are no surprise."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    expected: tuple[str, ...] = ()

    def turns(self, side: str = "") -> Locator:
        """The captions of a side, or of both."""
        return self.page.locator(f".turn.{side}" if side else ".turn")

    async def heard(self, side: str) -> None:
        """Until a side has a caption."""
        await self.turns(side).first.wait_for()

    async def wider_than_its_window(self) -> bool:
        """Whether one has to scroll sideways."""
        return bool(
            await self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        )

    @property
    def surprises(self) -> list[str]:
        """Complaints nobody expected."""
        return [text for text in self.complaints if not any(part in text for part in self.expected)]


OpenTab = Callable[..., Awaitable[Tab]]
WriteCall = Callable[..., Awaitable[WrittenCall]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    """One browser, and the loop of one driver, for all tests: their start takes longer than most tests."""
    if not CHROMIUM:
        pytest.skip("no chromium here: apt-get install chromium, or name one in CHROMIUM")
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def serve(redis_url: str, tmp_path: Path, process_of: ProcessOf) -> AsyncIterator[Serve]:
    """Starts servers, as elsewhere, on the loop that the browser is driven from."""
    async with serving(redis_url, tmp_path, process_of) as start:
        yield start


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab(chromium: Browser) -> AsyncIterator[OpenTab]:
    """Opens pages: `await open_tab(running, "#/calls/CA1", width=390)`.

    Any complaint of the browser, any dialog of a script and any request to elsewhere fails the test.
    """
    tabs: list[tuple[Tab, str]] = []
    context = await chromium.new_context(accept_downloads=True)

    async def show(running: Running, place: str = "", *, url: str = "", width: int = 1280, **media: Any) -> Tab:
        home = url or running.server.url
        page = await context.new_page()
        tab = Tab(page)
        tabs.append((tab, home))
        page.set_default_timeout(15_000)
        page.on("console", lambda said: tab.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        page.on("dialog", lambda dialog: tab.complaints.append(f"a dialog: {dialog.message}"))
        page.on("request", lambda request: tab.requests.append(request.url))
        await page.set_viewport_size({"width": width, "height": 844 if width < 500 else 900})
        await page.emulate_media(**media)
        await page.goto(f"{home}/{place}")
        return tab

    yield show
    await context.close()
    for tab, home in tabs:
        assert tab.surprises == []
        assert [url for url in tab.requests if not url.startswith((home, f"blob:{home}", "data:"))] == []


@pytest.fixture
def write_call() -> WriteCall:
    """A call written into a server's history event by event: `call = await write_call(running, "CA1")`."""

    async def begin(running: Running, call_sid: str = "CA1", **more: Any) -> WrittenCall:
        return await WrittenCall.begin(running.server.store.event_log, call_sid, **more)

    return begin
