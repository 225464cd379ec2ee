"""The page as people use it, in a real browser, on real calls."""

import csv
import io
import json
from pathlib import Path

import pytest
import srt
import webvtt

from tests.browser.conftest import OpenTab
from tests.server.conftest import Serve
from transcriber.engine.vosk import VoskEngine

KEY = "k" * 32
HOSTILE = '<img src=x onerror=alert(1)>"&'
WATCH_SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver((list) => { for (const one of list.getEntries()) window.shifted += one.value; })
    .observe({ type: "layout-shift" });
}"""
WEIGHT = """() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .reduce((sum, one) => sum + one.transferSize, 0)"""

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


async def test_a_sample_call_is_captioned_on_both_sides(
    serve: Serve, open_tab: OpenTab, demo_model: VoskEngine
) -> None:
    running = await serve(engine=demo_model)
    tab = await open_tab(running)
    await tab.page.get_by_text("No calls yet.").wait_for()
    await tab.page.evaluate(WATCH_SHIFTS)
    await tab.page.get_by_label("Sample call").select_option("08_short_wrong_department")
    await tab.page.get_by_role("button", name="Play a sample call").click()
    await tab.page.locator(".turn.partial").first.wait_for()
    await tab.heard("agent")
    await tab.heard("caller")
    assert "department" in await tab.page.locator(".conversation").inner_text()
    assert all(url.startswith(running.server.url) for url in tab.requests)
    assert await tab.page.evaluate(WEIGHT) < 150_000
    assert await tab.page.evaluate("window.shifted") < 0.02


async def test_search_leads_to_the_moment(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve()
    async with running.phone.call() as call:
        await call.play(8000)
        await call.hang_up()
        await running.ended(call.call_sid)
    tab = await open_tab(running)
    await tab.page.get_by_role("searchbox").fill('"one two" thr*')
    await tab.page.get_by_role("button", name="Search").click()
    found = tab.page.locator(".match").nth(1)
    assert await found.locator("mark").all_inner_texts() == ["one two", "three"]
    await found.click()
    await tab.page.locator(".turn.sought").wait_for()
    await tab.page.get_by_text("← all calls").click()
    await tab.page.get_by_role("searchbox").fill("nowhere")
    await tab.page.keyboard.press("Enter")
    await tab.page.get_by_text("No call holds these words.").wait_for()
    await tab.page.get_by_role("searchbox").fill('"open')
    await tab.page.keyboard.press("Enter")
    await tab.page.get_by_text("a quote that is not closed").wait_for()
    assert [text for text in tab.complaints if "400" not in text] == []
    tab.complaints.clear()


async def test_exports_are_what_they_say(serve: Serve, open_tab: OpenTab, tmp_path: Path) -> None:
    running = await serve()
    async with running.phone.call() as call:
        await call.play(4000)
        await call.hang_up()
        await running.ended(call.call_sid)
    tab = await open_tab(running, f"#/calls/{call.call_sid}")
    await tab.heard("agent")
    texts = {}
    for kind in ("json", "txt", "vtt", "srt", "csv"):
        async with tab.page.expect_download() as download:
            await tab.page.get_by_role("button", name=kind, exact=True).click()
        saved = tmp_path / (await download.value).suggested_filename
        await (await download.value).save_as(saved)
        assert saved.name == f"{call.call_sid}.{kind}"
        texts[kind] = saved.read_text()
    count = len(json.loads(texts["json"])["utterances"])
    assert count >= 4
    assert len(webvtt.from_string(texts["vtt"])) == len(list(srt.parse(texts["srt"]))) == count
    assert len(list(csv.reader(io.StringIO(texts["csv"])))) == count + 1
    assert len(texts["txt"].splitlines()) >= count


async def test_a_reload_in_the_middle_of_a_call_loses_nothing(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve()
    async with running.phone.call() as call:
        await call.play(3000)
        tab = await open_tab(running, f"#/calls/{call.call_sid}")
        await tab.heard("caller")
        await tab.page.reload()
        await call.play(3000)
        await call.hang_up()
        events = await running.ended(call.call_sid)
    await tab.page.locator(".badge.ended").wait_for()
    said = [event["text"] for event in events if event["type"] == "final"]
    assert sorted(await tab.page.locator(".turn .words").all_inner_texts()) == sorted(said)


async def test_hostile_text_stays_text(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve()
    asked = {"inbound_label": HOSTILE, HOSTILE: HOSTILE, "hints": HOSTILE}
    async with running.phone.call(parameters=asked) as call:
        await call.play(3000)
        await call.hang_up()
        await running.ended(call.call_sid)
    for place in ("", f"#/calls/{call.call_sid}", f"#/calls/{HOSTILE}"):
        tab = await open_tab(running, place)
        await tab.page.locator(".turn, .call .names, .error:not(:empty)").first.wait_for()
        assert await tab.page.locator("main img, main script").count() == 0
        tab.complaints[:] = [text for text in tab.complaints if "400" not in text and "404" not in text]
    assert HOSTILE in await (await open_tab(running)).page.locator(".names").first.inner_text()


async def test_the_key_is_asked_for_and_used(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve(api_keys=(KEY,))
    tab = await open_tab(running)
    for key in ("wrong", KEY):
        await tab.page.get_by_label("Key", exact=True).fill(key)
        await tab.page.get_by_role("button", name="Continue").click()
    await tab.page.get_by_role("heading", name="History").wait_for()
    await tab.page.get_by_text("No calls yet.").wait_for()
    tab.complaints[:] = [text for text in tab.complaints if "401" not in text]


async def test_a_call_is_deleted_after_a_question(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve()
    async with running.phone.call() as call:
        await call.play(2000)
        tab = await open_tab(running, f"#/calls/{call.call_sid}")
        await tab.heard("caller")
        assert await tab.page.get_by_role("button", name="Delete").is_disabled()
        await call.hang_up()
        await running.ended(call.call_sid)
    await tab.page.locator(".badge.ended").wait_for()
    await tab.page.get_by_role("button", name="Delete").click()
    await tab.page.get_by_role("button", name="Keep it").click()
    await tab.page.get_by_role("button", name="Delete", exact=True).click()
    await tab.page.get_by_role("button", name="Delete for ever").click()
    await tab.page.get_by_text("No calls yet.").wait_for()


async def test_the_keyboard_is_enough(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve()
    tab = await open_tab(running)
    await tab.page.get_by_role("button", name="Play a sample call").wait_for()
    reached = set()
    for _ in range(20):
        await tab.page.keyboard.press("Tab")
        reached.add(await tab.page.evaluate("document.activeElement.name || document.activeElement.textContent"))
    assert {"Skip to the calls", "Play a sample call", "q", "status", "Search"} <= {text.strip() for text in reached}


@pytest.mark.parametrize("colour", ["light", "dark"])
async def test_a_phone_shows_everything(serve: Serve, open_tab: OpenTab, colour: str, tmp_path: Path) -> None:
    running = await serve()
    async with running.phone.call() as call:
        await call.play(4000)
        for place in ("", f"#/calls/{call.call_sid}"):
            tab = await open_tab(running, place, width=390, color_scheme=colour)
            await tab.heard("agent")
            wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            assert not await tab.page.evaluate(wider)
            picture = await tab.page.screenshot(path=tmp_path / "picture.png")
            assert len(picture) > 10_000
        ground = await tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(18, 23, 26)") is (colour == "dark")
