"""One call's view: conversation, talk time, moments, exports, deletion; as it grows and as it was."""

import csv
import io
import json
from pathlib import Path

import pytest
import srt
import webvtt
from playwright.async_api import expect

from tests.browser.conftest import RING, OpenTab, WriteCall
from tests.server.conftest import Serve
from transcriber.telephony.simulator import CallIds

KEY = "k" * 32
COUNT_NEW_TURNS = """() => {
  window.fresh = 0;
  new MutationObserver((records) => { for (const record of records) window.fresh += record.addedNodes.length; })
    .observe(document.querySelector("main"), { childList: true, subtree: true });
}"""

pytestmark = RING


async def test_exports_are_what_they_say(serve: Serve, open_tab: OpenTab, tmp_path: Path) -> None:
    running = await serve(api_keys=(KEY,), phone={"api_key": KEY})
    async with running.phone.call() as call:
        await call.play(4000)
        await call.hang_up()
        await running.ended(call.call_sid)
    tab = await open_tab(running, f"#/calls/{call.call_sid}")
    tab.expected = ("401",)
    await tab.page.get_by_label("Key", exact=True).fill(KEY)
    await tab.page.keyboard.press("Enter")
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
        await running.ended(call.call_sid)
    await tab.page.locator(".badge.ended").wait_for()
    answer = await tab.page.request.get(f"{running.server.url}/v1/calls/{call.call_sid}/transcript?format=json")
    said = [utterance["text"] for utterance in (await answer.json())["utterances"]]
    assert len(said) >= 4
    assert sorted(await tab.page.locator(".turn .words").all_inner_texts()) == sorted(said)
    assert await tab.page.locator(".turn.partial").count() == 0


async def test_a_call_that_was_resumed_is_shown_whole(serve: Serve, open_tab: OpenTab, write_call: WriteCall) -> None:
    running = await serve()
    first = await write_call(running)
    await first.say("before the break")
    await first.end()
    second = await write_call(running, stream_sid="MZ2")
    await second.say("after the break", start_ms=5000)
    tab = await open_tab(running, "#/calls/CA1")
    await tab.turns().get_by_text("after the break").wait_for()
    await second.end()
    await tab.page.locator(".badge.ended").wait_for()
    assert await tab.turns().count() == 2


async def test_an_interrupted_call_is_read_once(serve: Serve, open_tab: OpenTab, write_call: WriteCall) -> None:
    running = await serve()
    await (await write_call(running)).say("the last words")
    store = running.server.store
    await store.client.hset(store.keys.call("CA1"), "status", "interrupted")
    tab = await open_tab(running)
    await tab.page.locator(".call").wait_for()
    await tab.page.clock.install()
    async with tab.page.expect_request_finished(lambda request: "/calls/CA1/events" in request.url):
        await tab.page.locator(".call .line").click()
    await tab.turns().get_by_text("the last words").wait_for()
    # Whoever overlooks that it is over, asks again within the minute, before the question for health.
    for _ in range(2):
        await tab.page.clock.run_for(30_000)
        await tab.page.evaluate("fetch('healthz').then((answer) => answer.text())")
    assert len([url for url in tab.requests if "/calls/CA1/events" in url]) == 1


@pytest.mark.parametrize(
    ("roles", "may"), [("read", set()), ("read+delete", {"Delete"}), ("admin", {"Delete", "Play"})]
)
async def test_what_a_key_may_not_do_is_not_offered(
    serve: Serve, open_tab: OpenTab, write_call: WriteCall, roles: str, may: set[str]
) -> None:
    running = await serve(api_keys=(f"{roles}={KEY}",))
    call = await write_call(running)
    await call.say("hello", start_ms=0)
    await call.end()
    tab = await open_tab(running, "#/calls/CA1")
    tab.expected = ("401",)
    await tab.page.get_by_label("Key", exact=True).fill(KEY)
    await tab.page.keyboard.press("Enter")
    await tab.turns().get_by_text("hello").wait_for()
    assert await tab.page.get_by_role("button", name="Delete").count() == ("Delete" in may)
    await tab.page.get_by_role("link", name="all calls").first.click()
    await tab.page.locator(".call .line").wait_for()
    assert await tab.page.get_by_role("button", name="Play a sample call").count() == ("Play" in may)
    assert ("play a sample call" in await tab.page.locator(".idle").inner_text()) == ("Play" in may)


async def test_keys_and_lost_audio_are_shown(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve()
    async with running.phone.call(parameters={"inbound_label": "Ada", "crm": "4711"}) as call:
        await call.play(1000)
        await call.press("7")
        await call.drop(1500)
        await call.play(2000)
        await call.hang_up()
        await running.ended(call.call_sid)
    tab = await open_tab(running, f"#/calls/{call.call_sid}")
    await tab.page.locator(".mark.dtmf", has_text="Ada pressed 7").wait_for()
    assert await tab.page.locator(".mark.gap").all_inner_texts() == ["0:01 1.5 s of audio missing on both sides"]
    await tab.page.locator(".legend .missing").wait_for()
    assert await tab.page.locator(".talk path.missing").get_attribute("d") != ""
    assert await tab.page.get_by_role("heading", level=1).inner_text() == "Ada and agent"
    assert await tab.page.title() == "Ada and agent – Transcriber"
    assert "4711" in await tab.page.locator(".facts").inner_text()


async def test_talk_time_shows_overlap_and_silence(serve: Serve, open_tab: OpenTab, write_call: WriteCall) -> None:
    running = await serve()
    call = await write_call(running)
    await call.say(" ".join(["word"] * 10), start_ms=0)  # 0 to 3 s
    await call.say(" ".join(["word"] * 10), start_ms=2000, track="outbound")  # 2 to 5 s
    await call.say("late", start_ms=19_700)  # to 20 s
    await call.end()
    tab = await open_tab(running, "#/calls/CA1")
    await tab.page.locator(".legend .silence").get_by_text("0:14").wait_for()
    told = await tab.page.locator(".legend > span").all_inner_texts()
    assert told == ["caller 0:03 (17 %)", "agent 0:03 (15 %)", "both at once 0:01 (5 %)", "silence 0:14 (74 %)"]
    assert (await tab.page.locator(".talk .both").get_attribute("d") or "").startswith("M2000 16H3000")
    await tab.page.get_by_role("slider", name="Moment of the call").press("End")
    await tab.page.locator(".turn.sought", has_text="late").wait_for()
    assert tab.page.url.endswith("?t=20000")
    await tab.page.keyboard.press("Home")
    await tab.page.locator(".turn.caller.sought", has_text="word").wait_for()


async def test_a_long_conversation_is_not_drawn_anew_for_every_word(
    serve: Serve, open_tab: OpenTab, write_call: WriteCall
) -> None:
    running = await serve()
    call = await write_call(running)
    for number in range(2000):
        await call.say(f"sentence {number}", start_ms=2000 * number, track=("inbound", "outbound")[number % 2])
    tab = await open_tab(running, "#/calls/CA1")
    await tab.turns().nth(1999).wait_for()
    await tab.page.locator(".legend .silence").wait_for()
    await expect(tab.turns().nth(1999)).to_be_in_viewport()
    await call.publish_partial("one", at_ms=4_000_000)
    await tab.page.locator(".turn.partial", has_text="one").wait_for()
    await tab.page.evaluate(COUNT_NEW_TURNS)
    for text in ("one two", "one two three", "one two three four"):
        await call.publish_partial(text, at_ms=4_000_000)
        await tab.page.locator(".turn.partial", has_text=text).wait_for()
    # A text node or two a partial, the clock, the legend; nothing of the other 2,000 turns and bars.
    assert await tab.page.evaluate("window.fresh") < 100
    await tab.page.goto(f"{running.server.url}/#/calls/CA1?t=2000000")
    await expect(tab.page.locator(".turn.sought", has_text="sentence 1000")).to_be_in_viewport()


async def test_a_live_call_is_followed_unless_its_reader_looks_back(
    serve: Serve, open_tab: OpenTab, write_call: WriteCall
) -> None:
    running = await serve()
    call = await write_call(running)
    for number in range(40):
        await call.say(f"sentence {number}", start_ms=2000 * number)
    tab = await open_tab(running, "#/calls/CA1")
    await expect(tab.turns().nth(39)).to_be_in_viewport()
    await call.say("in sight", start_ms=90_000)
    await expect(tab.turns().get_by_text("in sight")).to_be_in_viewport()
    await tab.page.evaluate("scrollTo(0, 0)")
    newest = tab.page.get_by_role("button", name="Newest captions")
    await newest.wait_for()
    await call.say("beyond it", start_ms=95_000)
    await tab.turns().get_by_text("beyond it").wait_for(state="attached")
    assert await tab.page.evaluate("scrollY") == 0
    await newest.click()
    await expect(tab.turns().get_by_text("beyond it")).to_be_in_viewport()
    await newest.wait_for(state="hidden")


async def test_a_call_is_deleted_after_a_question(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve()
    async with running.phone.call(ids=CallIds(call="CA" + "1" * 32)) as call:
        await call.play(2000)
        tab = await open_tab(running, f"#/calls/{call.call_sid}")
        await tab.heard("caller")
        assert await tab.page.get_by_role("button", name="Delete").is_disabled()
        await call.hang_up()
        await running.ended(call.call_sid)
    await tab.page.locator(".badge.ended").wait_for()
    await tab.page.get_by_role("button", name="Delete").click()
    assert await tab.page.evaluate("document.activeElement.textContent") == "Keep it"
    await tab.page.keyboard.press("Escape")
    await tab.page.get_by_role("button", name="Delete", exact=True).click()
    await tab.page.get_by_role("button", name="Delete for ever").click()
    await tab.page.get_by_text("No calls yet.").wait_for()
    tab.expected = ("404",)
    await tab.page.goto(f"{running.server.url}/#/calls/{call.call_sid}")
    await tab.page.get_by_role("heading", name="This call cannot be shown").wait_for()
