"""Around the views: hostile text, the key, keyboard, accessibility rules, dark and light, phone and zoom."""

from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe

from tests.browser.conftest import HOSTILE, RING, OpenTab, Tab, WriteCall
from tests.browser.relay import Relay
from tests.server.conftest import Running, Serve

KEY = "k" * 32
LINK = "javascript:alert(1)"
LIVE_MARKUP = """() => [...document.querySelectorAll("*")].filter((one) =>
  ["SCRIPT", "IMG", "IFRAME"].includes(one.tagName) && !one.matches("head script")
  || [...one.attributes].some(({ name, value }) => name.startsWith("on")
    || name.endsWith("href") && !/^(#|docs$|static\\/)/.test(value))).map((one) => one.outerHTML)"""
# Inside a date field the browser draws rings of its own.
RINGED = (
    """(({ activeElement: one }) => one.type === "date" || getComputedStyle(one).outlineStyle !== "none")(document)"""
)
GROUNDS = {"light": "rgb(244, 246, 245)", "dark": "rgb(17, 23, 26)"}

pytestmark = RING


async def test_hostile_text_stays_text(serve: Serve, open_tab: OpenTab, write_call: WriteCall) -> None:
    running = await serve()
    asked = {"inbound_label": HOSTILE, "outbound_label": LINK, HOSTILE: HOSTILE, "link": LINK}
    async with running.phone.call(parameters=asked) as call:
        await call.play(3000)
        await call.hang_up()
        await running.ended(call.call_sid)
    written = await write_call(running, "CA9")
    await written.say(f"{HOSTILE} {LINK} <script>alert(1)</script>", unsure=("<script>alert(1)</script>",))
    for place in ("", "#/?q=alert", f"#/calls/{call.call_sid}", "#/calls/CA9", f"#/calls/{HOSTILE}", f"#/{HOSTILE}"):
        tab = await open_tab(running, place)
        tab.expected = ("400", "404")
        await tab.page.locator("main h1").wait_for()
        if place == "#/calls/CA9":
            await tab.heard("caller")
            await written.publish_partial(f"<b onclick=alert(1)>{HOSTILE}")
            await tab.page.locator(".turn.partial", has_text="<b onclick").wait_for()
        assert await tab.page.evaluate(LIVE_MARKUP) == []
    names = (await open_tab(running)).page.locator(".call .names", has_text=HOSTILE)
    assert await names.inner_text() == f"{HOSTILE} and {LINK}"


async def test_the_key_is_asked_for_and_used(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve(api_keys=(KEY,))
    tab = await open_tab(running)
    tab.expected = ("401",)
    for key in ("wrong", KEY):
        await tab.page.get_by_label("Key", exact=True).fill(key)
        await tab.page.keyboard.press("Enter")
        if key == "wrong":
            await tab.page.get_by_text("The server does not take this key.").wait_for()
            await lawful(tab, "the key")
    await tab.page.get_by_text("No calls yet.").wait_for()
    await tab.page.reload()
    await tab.page.get_by_text("No calls yet.").wait_for()


async def test_a_key_in_the_address_is_taken_out_of_it(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve(public_url="https://media.example.net")
    tab = await open_tab(running, f"#key={running.server.services.local_key}")
    await tab.page.get_by_text("No calls yet.").wait_for()
    assert tab.page.url == f"{running.server.url}/#/"
    await tab.page.reload()
    await tab.page.get_by_text("No calls yet.").wait_for()
    assert [url for url in tab.requests if running.server.services.local_key in url] == []
    await tab.page.evaluate("key => { location.hash = key; }", "#key=another")
    tab.expected = ("401",)
    await tab.page.get_by_text("This server answers only with one of its API keys.").wait_for()
    assert tab.page.url == f"{running.server.url}/#/"


async def test_without_an_answer_the_page_says_so_and_asks_again(
    serve: Serve, open_tab: OpenTab, write_call: WriteCall
) -> None:
    running = await serve()
    await (await write_call(running)).say("hello")
    async with Relay(running.server.url) as relay:
        tab = await open_tab(running, url=relay.url)
        tab.expected = ("ERR_",)
        await tab.page.locator(".call").wait_for()
        await relay.cut()
        await tab.page.locator(".call .line").click()
        await tab.page.get_by_role("heading", name="The server gives no answer").wait_for()
        await lawful(tab, "no answer")
        await relay.mend()
        await tab.heard("caller")
        assert await tab.page.locator(".state").inner_text() == "connected"


async def test_the_keyboard_is_enough(serve: Serve, open_tab: OpenTab, write_call: WriteCall) -> None:
    running = await serve()
    call = await write_call(running)
    await call.say("hello")
    await call.end()
    tab = await open_tab(running)
    press, page = tab.page.keyboard.press, tab.page
    await page.locator(".call").wait_for()
    await press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the content"
    await press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    assert "#main" not in page.url
    reached: list[str] = []
    while "call" not in reached[-1:]:
        await press("Tab")
        reached.append(
            await page.evaluate(
                "(({ activeElement: one }) => one.closest('.call') ? 'call' : one.name || one.textContent)(document)"
            )
        )
        assert len(reached) < 20
        assert await page.evaluate(RINGED), reached
    assert {"Play a sample call", "q", "since", "until", "status", "Search"} <= set(reached)
    await press("Enter")
    await tab.heard("caller")
    assert await page.evaluate("document.activeElement.tagName") == "H1"


async def shown(tab: Tab, place: str, sign: str) -> None:
    await tab.page.evaluate("place => { location.hash = place; }", place)
    await tab.page.locator(sign).first.wait_for()


@pytest.mark.parametrize("colour", ["light", "dark"])
async def test_no_view_breaks_the_rules_of_accessibility(
    serve: Serve, open_tab: OpenTab, write_call: WriteCall, colour: str
) -> None:
    running = await serve()
    tab = await open_tab(running, color_scheme=colour)
    await tab.page.get_by_text("No calls yet.").wait_for()
    await lawful(tab, "first run")
    call = await write_call(running)
    await call.say("one two three", unsure=("two",))
    await call.publish_partial("four five", stable=1)
    await tab.page.locator(".partial").wait_for()
    await lawful(tab, "a live call")
    await shown(tab, "#/?q=two", "mark")
    await lawful(tab, "search")
    await call.end()
    await shown(tab, "#/calls/CA1?t=0", ".onecall .sought")
    await tab.page.locator(".badge.ended").wait_for()
    await lawful(tab, "one call")
    await tab.page.get_by_role("button", name="Delete").click()
    await lawful(tab, "the question before a deletion")
    await tab.page.keyboard.press("Escape")
    await shown(tab, "#/connect", ".connect")
    await lawful(tab, "connect")
    await shown(tab, "#/nowhere", ".problem")
    await lawful(tab, "no such page")


async def lawful(tab: Tab, view: str) -> None:
    """axe-core finds nothing, however slight."""
    found = (await Axe().run(tab.page)).response["violations"]
    assert [(view, one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


@pytest.mark.parametrize("colour", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 640])  # a phone; a laptop at 200 %
async def test_narrow_windows_show_everything(
    serve: Serve, open_tab: OpenTab, write_call: WriteCall, tmp_path: Path, colour: str, width: int
) -> None:
    running: Running = await serve()
    tab = await open_tab(running, width=width, color_scheme=colour)
    await tab.page.get_by_text("No calls yet.").wait_for()
    assert not await tab.wider_than_its_window()
    long = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen" * 3
    async with running.phone.call(parameters={"inbound_label": long, "outbound_label": "שירות", long: long}) as call:
        await call.play(4000)
        written = await write_call(running, "CA9")
        await written.say(f"{long} {long}")
        for place in ("#/?q=donau*", f"#/calls/{call.call_sid}", "#/connect"):
            await shown(tab, place, ".match, .onecall .turn.agent, .connect")
            assert not await tab.wider_than_its_window(), place
            picture = await tab.page.screenshot(path=tmp_path / "picture.png")
            assert len(picture) > 10_000
    assert await tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == GROUNDS[colour]


async def test_the_choice_of_dark_or_light_is_kept(serve: Serve, open_tab: OpenTab) -> None:
    running = await serve()
    tab = await open_tab(running, color_scheme="light")
    await tab.page.get_by_role("button", name="Switch between dark and light").click()
    for _ in range(2):
        assert await tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == GROUNDS["dark"]
        await tab.page.reload()
        await tab.page.get_by_text("No calls yet.").wait_for()
