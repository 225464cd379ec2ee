"""The pictures of the docs, taken of the page as it is: `make screenshots` writes them, the ring only takes them."""

import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page

from tests.browser.conftest import RING, OpenTab, Tab
from tests.server.conftest import Serve
from transcriber.recognition.supervisor.model_process import ModelProcess

WIDTH = 1120
MAX_BYTES = 150_000
CALL = "08_short_wrong_department"
LONGER_CALL = "06_hotel_booking"
PUBLIC_URL = "https://media.example.net"

pytestmark = RING
Take = Callable[..., Awaitable[None]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where pictures go: the folder that SCREENSHOTS names, else one that is thrown away."""
    return Path(os.environ.get("SCREENSHOTS") or tmp_path)


@pytest.fixture
def take(folder: Path) -> Take:
    """Takes a picture of a page, or of a part of it: `await take(tab.page, "first-view")`."""

    async def shoot(shown: Page | Locator, name: str) -> None:
        await shown.screenshot(path=folder / f"{name}.png", animations="disabled", caret="hide")
        assert 5_000 < (folder / f"{name}.png").stat().st_size < MAX_BYTES

    return shoot


async def play_sample(tab: Tab, name: str) -> None:
    """Begin a sample call, as somebody at the page does."""
    await tab.page.get_by_label("Sample call").select_option(name)
    await tab.page.get_by_role("button", name="Play a sample call").click()


async def test_a_sample_call_from_the_first_view_to_its_history(
    serve: Serve, open_tab: OpenTab, take: Take, demo_model: ModelProcess
) -> None:
    # The page shows its own address: in the docs that of a first start.
    running = await serve(model=demo_model, port=8080 if "SCREENSHOTS" in os.environ else 0)
    tab = await open_tab(running, width=WIDTH, color_scheme="light")
    await tab.page.set_viewport_size({"width": WIDTH, "height": 820})
    await tab.page.get_by_role("heading", name="See it work").wait_for()
    await take(tab.page, "first-view")

    await tab.page.set_viewport_size({"width": WIDTH, "height": 640})
    await play_sample(tab, LONGER_CALL)
    await tab.page.locator(".card").nth(0).locator(".turn.caller").first.wait_for()
    await play_sample(tab, CALL)
    card = tab.page.locator(".card").nth(1)
    await card.locator(".turn.caller:not(.partial)").first.wait_for()
    await card.locator(".turn.agent.partial .firm:not(:empty) ~ .volatile:not(:empty)").first.wait_for()
    await take(tab.page, "live-captions")

    await card.and_(tab.page.locator(".over")).wait_for(timeout=40_000)
    await tab.page.get_by_role("searchbox").fill("technical support")
    await tab.page.get_by_role("button", name="Search").click()
    await tab.page.locator(".match mark").first.wait_for()
    await tab.page.mouse.move(0, 0)
    await take(tab.page.locator("section", has=tab.page.get_by_role("searchbox")), "search")

    await tab.page.set_viewport_size({"width": WIDTH, "height": 850})
    await tab.page.locator(".match").first.click()
    await tab.page.locator(".turn.sought").wait_for()
    await tab.page.get_by_text(re.compile(r"^caller 0:0[1-9] ")).first.wait_for()
    await tab.page.evaluate("scrollTo(0, 0)")
    await take(tab.page, "one-call")


async def test_how_to_connect_a_call(serve: Serve, open_tab: OpenTab, take: Take, demo_model: ModelProcess) -> None:
    running = await serve(model=demo_model, public_url=PUBLIC_URL, insecure=True)
    tab = await open_tab(running, "#/connect", width=WIDTH, color_scheme="light")
    await tab.page.set_viewport_size({"width": WIDTH, "height": 680})
    await tab.page.get_by_text(f"{PUBLIC_URL}/v1/twiml").first.wait_for()
    await take(tab.page, "connect")
