"""The page's files and what it asks of the server."""

import re
import socket

import aiohttp
import pytest

from tests.server.conftest import Serve
from tests.web.conftest import StubSessions, WebClient
from transcriber.audio import sample_calls

KEY = "k" * 32


async def test_the_page_needs_no_key_and_runs_under_a_strict_policy(web_client: WebClient) -> None:
    client = await web_client(api_keys=(KEY,))
    answer = await client.get("/")
    html = await answer.text()
    assert answer.status == 200
    assert "default-src 'none'; script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "require-trusted-types-for 'script'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    linked = re.findall(r'(?:href|src)="(static/[^"]+)"', html)
    assert len(linked) == 3
    assert not re.search(r"<script(?! type=\"module\" src=)|\son\w+=|https?://", html.replace("</script>", ""))
    for path in linked:
        found = await client.get(f"/{path}")
        assert found.status == 200, path
        again = await client.get(f"/{path}", headers={"If-None-Match": found.headers["ETag"]})
        assert again.status == 304


async def test_every_module_a_script_imports_is_served(web_client: WebClient) -> None:
    client = await web_client()
    seen, ahead = set(), {"main.js"}
    while ahead:
        name = ahead.pop()
        seen.add(name)
        script = await (await client.get(f"/static/{name}")).text()
        ahead |= set(re.findall(r'from "\./([\w.]+)"', script)) - seen
        assert "innerHTML" not in script
    assert seen >= {
        "main.js",
        "home.js",
        "live.js",
        "history.js",
        "call.js",
        "conversation.js",
        "talk.js",
        "connect.js",
    }


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fpage.py", "index.html%00"])
async def test_other_files_are_not(web_client: WebClient, name: str) -> None:
    answer = await (await web_client()).get(f"/static/{name}")
    assert (answer.status, (await answer.json())["error"]["code"]) == (404, "not_found")


async def test_what_the_server_says_of_itself(web_client: WebClient) -> None:
    client = await web_client(
        {"model": lambda: {"model": "m", "language": "en", "demo": False}, "local_key": KEY}, public_url="https://x"
    )
    about = await (await client.get("/v1/server", headers={"X-API-Key": KEY})).json()
    assert about | {"version": ""} == {
        "version": "",
        "public_url": "https://x",
        "model": "m",
        "language": "en",
        "demo": False,
        "sample_calls": sample_calls.names(),
        "roles": ["read", "delete", "admin"],
    }
    assert (await (await web_client(api_keys=(KEY,))).get("/v1/server")).status == 401


@pytest.mark.parametrize("body", ["{", b"\xff\xfe{", "[]", '{"name":1}', '{"name":"../x"}', "[" * 20_000])
async def test_a_sample_that_is_none(web_client: WebClient, body: str | bytes) -> None:
    answer = await (await web_client()).post("/v1/sample-calls", data=body)
    assert (answer.status, (await answer.json())["error"]["code"]) == (400, "bad_request")


async def test_no_sample_without_room_or_key(web_client: WebClient, sessions: StubSessions) -> None:
    assert (await (await web_client(api_keys=(KEY,))).post("/v1/sample-calls")).status == 401
    sessions.admission.draining = True
    answer = await (await web_client()).post("/v1/sample-calls")
    assert answer.status == 503
    assert "Retry-After" in answer.headers


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"require_ticket": True, "twilio_account_sid": ("AC" + "5" * 32,)},
        {"twilio_auth_token": ("t" * 32,), "public_url": "https://media.example.net/voice"},
        {"public_url": "https://media.example.net/voice"},
        {"api_keys": (KEY,)},
        {"api_keys": (KEY,), "require_ticket": True},
        {"insecure": True},
    ],
)
async def test_a_sample_call_comes_in_by_the_front_door(serve: Serve, settings: dict[str, object]) -> None:
    """Also at an address that other machines reach, as a pod's is."""
    exposed = bool(settings)
    running = await serve(**settings, host="0.0.0.0" if exposed else "127.0.0.1")
    url = (
        f"http://{outer_address() if exposed else '127.0.0.1'}:{running.server.url.rpartition(':')[2]}/v1/sample-calls"
    )
    key = {"X-API-Key": running.server.services.local_key or KEY}
    async with aiohttp.ClientSession(headers=key) as http:
        answer = await http.post(url, data='{"name":"08_short_wrong_department"}')
        call = await answer.json()
        assert (answer.status, call["name"]) == (202, "08_short_wrong_department")
        for _ in range(3):
            await http.post(url)
        refused = await http.post(url)
        assert (refused.status, (await refused.json())["error"]["code"]) == (429, "too_many")
    await running.live(4)
    summary = await running.known(call["call_sid"])
    assert summary["parameters"] == {"sample": "08_short_wrong_department"}


async def test_a_sample_call_that_is_refused_is_told(serve: Serve) -> None:
    """The key that asks dials, too, and may do so twice."""
    running = await serve(api_keys=(KEY,), rate_per_key=1)
    async with aiohttp.ClientSession(headers={"X-API-Key": KEY}) as http:
        answers = [await http.post(f"{running.server.url}/v1/sample-calls") for _ in range(2)]
        bodies = [await answer.json() for answer in answers]
    refused = [body["error"]["message"] for answer, body in zip(answers, bodies, strict=True) if answer.status == 503]
    assert any("the sample call failed: " in message and "429" in message for message in refused)


def outer_address() -> str:
    """An address of this machine that is not the loopback's, where it has one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
