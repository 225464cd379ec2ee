"""The built site of docs/ in a browser, opened as files: diagrams, search, dark mode, and nothing from another host."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

SITE = Path(__file__).parents[2] / "docs/build"
FOREIGN = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(?:https?:)?//[^\"]*")

pytestmark = [pytest.mark.docs, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]


def pages() -> list[Path]:
    found = sorted(SITE.rglob("*.html"))
    assert len(found) > 70, "`make docs` builds the site"
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser) -> AsyncIterator[Page]:
    """A tab. Any complaint of the browser and any request to a host fails the test."""
    context = await chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    tab = await context.new_page()
    tab.set_default_timeout(15_000)
    complaints: list[str] = []
    tab.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else complaints.append(asked.url))
    yield tab
    await context.close()
    assert complaints == []


async def test_every_diagram_is_drawn(page: Page) -> None:
    drawn = 0
    for path in pages():
        diagrams = len(re.findall(r'<pre class="mermaid">', path.read_text()))
        if diagrams:
            await page.goto(path.as_uri())
            # What could not be drawn stays the text that it was.
            await expect(page.locator("div.mermaid")).to_have_count(diagrams)
            heights = await page.locator("div.mermaid").evaluate_all("all => all.map(one => one.offsetHeight)")
            assert min(heights) > 50, path
            drawn += diagrams
    assert drawn >= 6


async def test_search_finds_a_term(page: Page) -> None:
    await page.goto((SITE / "index.html").as_uri())
    await page.locator(".md-search__input").fill("endpointing")
    results = page.locator(".md-search-result__item")
    await expect(results.filter(has_text="Voice activity detection and endpointing").first).to_be_visible()


async def test_dark_mode_follows_the_system_and_the_reader(page: Page) -> None:
    await page.goto((SITE / "reference/settings.html").as_uri())
    body = page.locator("body")
    await expect(body).to_have_attribute("data-md-color-scheme", "slate")
    await page.locator("label[for=__palette_1]:visible").click()
    await expect(body).to_have_attribute("data-md-color-scheme", "default")


async def test_code_can_be_copied(page: Page) -> None:
    await page.goto((SITE / "reference/settings.html").as_uri())
    await expect(page.locator("button[data-md-type=copy], .md-clipboard").first).to_be_attached()


async def test_no_page_loads_from_another_host() -> None:
    assert {found for path in pages() for found in FOREIGN.findall(path.read_text())} == set()
