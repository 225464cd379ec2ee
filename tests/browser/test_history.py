"""The history on the first view: search, filters, paging, and the way back."""

from playwright.async_api import expect

from tests.browser.conftest import RING, OpenTab, WriteCall
from tests.server.conftest import Serve

pytestmark = RING


async def test_search_leads_to_the_moment_and_back(serve: Serve, open_tab: OpenTab, write_call: WriteCall) -> None:
    running = await serve()
    call = await write_call(running)
    await call.say("one two buckle my shoe")
    await call.say("one two three four", start_ms=60_000, track="outbound")
    await call.end()
    tab = await open_tab(running)
    await tab.page.get_by_role("searchbox").fill('"one two" thr*')
    await tab.page.keyboard.press("Enter")
    found = tab.page.locator(".match", has_text="four")
    await found.wait_for()
    assert await found.locator("mark").all_inner_texts() == ["one two", "three"]
    await found.click()
    await tab.page.locator(".turn.sought", has_text="three four").wait_for()
    assert tab.page.url.endswith("#/calls/CA1?t=60000")
    await tab.page.go_back()
    await found.wait_for()
    assert await tab.page.get_by_role("searchbox").input_value() == '"one two" thr*'
    assert await tab.page.title() == "Transcriber"


async def test_what_search_does_not_find_or_understand_is_said(
    serve: Serve, open_tab: OpenTab, write_call: WriteCall
) -> None:
    running = await serve()
    await (await write_call(running)).end()
    tab = await open_tab(running, "#/?q=nowhere")
    await tab.page.get_by_text("No call holds these words.").wait_for()
    tab.expected = ("400",)
    await tab.page.get_by_role("searchbox").fill('"open')
    await tab.page.get_by_role("button", name="Search").click()
    await tab.page.get_by_role("alert").get_by_text("the search has a quote that is not closed").wait_for()
    assert await tab.page.locator(".call").count() == 0


async def test_filters_narrow_by_status_and_day(serve: Serve, open_tab: OpenTab, write_call: WriteCall) -> None:
    running = await serve(history_ttl_s=0)
    await (await write_call(running, "CA1", at_ms=1_750_000_000_000)).end()
    await write_call(running, "CA2")
    tab = await open_tab(running)
    await tab.page.locator(".call").nth(1).wait_for()
    await tab.page.get_by_label("Status").select_option("live")
    await tab.page.locator(".call", has_text="CA1").wait_for(state="detached")
    assert await tab.page.get_by_role("status").get_by_text("1 call").is_visible()
    await tab.page.get_by_label("Status").select_option("")
    await tab.page.get_by_label("Up to this day").fill("2025-07-01")
    await tab.page.locator(".call", has_text="CA2").wait_for(state="detached")
    await tab.page.locator(".call", has_text="CA1").wait_for()
    await tab.page.get_by_label("From this day").fill("2025-06-30")
    await tab.page.get_by_text("No call fits these filters.").wait_for()


async def test_more_calls_come_on_demand(serve: Serve, open_tab: OpenTab, write_call: WriteCall) -> None:
    running = await serve(history_ttl_s=0)
    for number in range(27):
        await (await write_call(running, f"CA{number}", at_ms=1_750_000_000_000 + number)).end()
    tab = await open_tab(running)
    await tab.page.locator(".call").nth(24).wait_for()
    far = tab.page.locator(".call .line").nth(20)
    await far.click()
    await tab.page.locator(".onecall").wait_for()
    await tab.page.go_back()
    await expect(far).to_be_in_viewport()
    await tab.page.get_by_role("button", name="Show more").press("Enter")
    await tab.page.locator(".call").nth(26).wait_for()
    shown = await tab.page.locator(".call .sid").all_text_contents()
    assert shown == [f"CA{number}" for number in reversed(range(27))]
    assert await tab.page.evaluate("document.activeElement.querySelector('.sid').textContent") == shown[25]
    assert await tab.page.get_by_role("button", name="Show more").is_hidden()


async def test_the_list_follows_calls_without_taking_the_focus(
    serve: Serve, open_tab: OpenTab, write_call: WriteCall
) -> None:
    running = await serve()
    await (await write_call(running, "CA1")).end()
    tab = await open_tab(running)
    await tab.page.locator(".call .line").focus()
    await write_call(running, "CA2")
    await tab.page.locator(".call", has_text="CA2").wait_for()
    assert await tab.page.evaluate("document.activeElement.querySelector('.sid')?.textContent") == "CA1"
