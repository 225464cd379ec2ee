"""Live calls on the first view: captions as they grow, cards, what is told to those who cannot see."""

from tests.browser.conftest import RING, OpenTab, WriteCall
from tests.browser.relay import Relay
from tests.server.conftest import Serve
from transcriber.recognition.supervisor.model_process import ModelProcess

WATCH_SHIFTS = """() => {
  window.shifted = 0;
  new PerformanceObserver((list) => { for (const one of list.getEntries()) window.shifted += one.value; })
    .observe({ type: "layout-shift" });
}"""
WEIGHT = """() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .reduce((sum, one) => sum + one.transferSize, 0)"""

pytestmark = RING


async def test_a_sample_call_is_captioned_on_both_sides(
    serve: Serve, open_tab: OpenTab, demo_model: ModelProcess
) -> None:
    running = await serve(model=demo_model)
    tab = await open_tab(running)
    await tab.page.get_by_role("heading", name="See it work").wait_for()
    await tab.page.get_by_text("No calls yet.").wait_for()
    await tab.page.evaluate(WATCH_SHIFTS)
    await tab.page.get_by_label("Sample call").select_option("08_short_wrong_department")
    await tab.page.get_by_role("button", name="Play a sample call").click()
    await tab.page.locator(".turn.partial .volatile").first.wait_for()
    for side in ("agent", "caller"):
        await tab.heard(side)
        await tab.page.locator(f".turn.{side}:not(.partial)").first.wait_for()
    assert "department" in await tab.page.locator(".conversation").inner_text()
    assert await tab.page.locator(".card .timer").inner_text() not in {"", "0:00"}
    assert await tab.page.locator(".turn .sure").first.inner_text() != ""
    assert await tab.page.evaluate(WEIGHT) < 150_000
    assert await tab.page.evaluate("window.shifted") < 0.002


async def test_settled_words_are_told_from_those_still_heard(
    serve: Serve, open_tab: OpenTab, write_call: WriteCall
) -> None:
    running = await serve()
    call = await write_call(running)
    tab = await open_tab(running, reduced_motion="reduce")
    await tab.page.locator(".card").wait_for()
    assert await tab.page.locator(".card .dot").evaluate("(dot) => getComputedStyle(dot).animationName") == "none"
    await call.publish_partial("my number is four", stable=2)
    await tab.page.locator(".turn.partial").wait_for()
    assert await tab.page.locator(".turn .firm").inner_text() == "my number"
    assert (await tab.page.locator(".turn .volatile").inner_text()).strip() == "is four"
    await call.publish_partial("")
    await tab.turns().wait_for(state="detached")
    await call.say("my number is four", unsure=("four",))
    await tab.page.locator(".turn:not(.partial)").wait_for()
    assert await tab.page.locator(".turn .unsure").all_inner_texts() == ["four"]


async def test_finals_are_announced_and_partials_are_not(
    serve: Serve, open_tab: OpenTab, write_call: WriteCall
) -> None:
    running = await serve()
    call = await write_call(running)
    await call.say("said before")
    tab = await open_tab(running)
    await tab.heard("caller")
    await call.publish_partial("half a sen")
    await tab.page.locator(".turn.partial").wait_for()
    await call.say("half a sentence", start_ms=2000)
    await call.say("and an answer", start_ms=4000, track="outbound")
    log = tab.page.get_by_role("log", name="New captions")
    await log.get_by_text("agent: and an answer").wait_for(state="attached")
    assert await log.locator("p").all_text_contents() == ["caller: half a sentence", "agent: and an answer"]


async def test_a_card_keeps_its_place_when_others_end(serve: Serve, open_tab: OpenTab, write_call: WriteCall) -> None:
    running = await serve()
    first = await write_call(running, "CA1")
    tab = await open_tab(running)
    await tab.page.locator(".card").wait_for()
    await tab.page.clock.install()
    second = await write_call(running, "CA2")
    await second.say("still here")
    await tab.heard("caller")
    card = tab.page.locator(".card", has_text="still here")
    before = await card.bounding_box()
    await first.end()
    await tab.page.locator(".card.over").wait_for()
    assert await card.bounding_box() == before
    await tab.page.clock.fast_forward(30_000)
    third = await write_call(running, "CA3")
    await third.say("in the free place")
    await tab.page.locator(".card", has_text="in the free place").wait_for()
    assert await tab.page.locator(".card").count() == 2
    await second.end()
    await third.end()
    await tab.page.get_by_role("button", name="Clear ended calls").click()
    await tab.page.get_by_role("heading", name="No call is live").wait_for()


async def test_what_happened_while_the_line_was_lost_is_made_up_for(
    serve: Serve, open_tab: OpenTab, write_call: WriteCall
) -> None:
    running = await serve()
    staying, leaving = await write_call(running, "CA1"), await write_call(running, "CA2")
    async with Relay(running.server.url) as relay:
        tab = await open_tab(running, url=relay.url)
        tab.expected = ("ERR_",)
        await tab.page.locator(".card").nth(1).wait_for()
        await relay.cut()
        await tab.page.get_by_text("connection lost").wait_for()
        await staying.say("said in the dark")
        await leaving.end()
        await relay.mend()
        await tab.page.locator(".card:not(.over)", has_text="said in the dark").wait_for()
        await tab.page.locator(".card.over").wait_for()
        assert await tab.page.locator(".state").inner_text() == "connected"


async def test_a_sample_that_cannot_be_played_is_said(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve()
    tab = await open_tab(running)
    for _ in range(4):
        await tab.page.request.post(f"{running.server.url}/v1/sample-calls")
    await tab.page.locator(".card").nth(3).wait_for()
    tab.expected = ("429",)
    await tab.page.get_by_role("button", name="Play a sample call").click()
    await tab.page.get_by_role("alert").get_by_text("4 sample calls are being played already").wait_for()
