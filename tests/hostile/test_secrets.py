"""Secrets, words and numbers stay where they belong: not in logs, errors, metrics or the output of any command."""

import asyncio
import base64
import dataclasses
import json
import re
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.phone import Phone
from tests.process import command, process, wait_until_ready
from transcriber.settings.api_keys import settings_entry
from transcriber.settings.definition import Settings
from transcriber.store.redis import binary
from transcriber.store.redis.private_server import socket_url
from transcriber.store.redis_store import RedisStore, open_store

REDIS, MIRROR = "redissecret5Xq", "mirrorsecret7Yw"
PLAIN, HASHED, TOKEN, OLD_TOKEN = "plainkey9Zv" * 3, "hashedkey3Uu" * 3, "authtoken1Tt" * 3, "oldtoken4Ss" * 3
GUESS, NUMBER = "guessedkey8Rr" * 3, "+4930901820555"
pytestmark = [pytest.mark.hostile, pytest.mark.timeout(120)]
WEBHOOK = base64.b64encode(b"webhooksecret6Qq" * 2).decode()
SECRETS = (WEBHOOK, REDIS, MIRROR, PLAIN, HASHED, TOKEN, OLD_TOKEN, GUESS, settings_entry("admin", HASHED)[7:])
PUBLIC = "https://media.example.net"
ENVIRONMENT = {
    "TRANSCRIBER_API_KEYS": f"read={PLAIN},{settings_entry('admin', HASHED)}",
    "TRANSCRIBER_TWILIO_AUTH_TOKEN": f"{TOKEN},{OLD_TOKEN}",
    "TRANSCRIBER_PUBLIC_URL": PUBLIC,
    "TRANSCRIBER_WEBHOOK_SECRET": f"whsec_{WEBHOOK}",
    "TRANSCRIBER_MODEL_MIRROR": f"https://user:{MIRROR}@models.example.net/vosk",
}


def test_no_secret_setting_is_forgotten_here() -> None:
    secret = {f"TRANSCRIBER_{item.name.upper()}" for item in dataclasses.fields(Settings) if item.metadata["secret"]}
    assert secret == {*ENVIRONMENT, "TRANSCRIBER_REDIS_URL"} - {"TRANSCRIBER_PUBLIC_URL"}


def told(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


@pytest.fixture
async def locked_redis(tmp_path: Path) -> str:  # type: ignore[misc]  # an async generator
    """URL, password included, of a Redis that wants one."""
    path = tmp_path / "r.sock"
    flags = ("--port", "0", "--unixsocket", str(path), "--requirepass", REDIS, "--save", "")
    child = await asyncio.create_subprocess_exec(str(binary.find()), *flags, stdout=asyncio.subprocess.DEVNULL)
    async with asyncio.timeout(20):
        while not path.exists():  # noqa: ASYNC110 - bounded, and nothing tells
            await asyncio.sleep(0.01)
    yield f"unix://:{REDIS}@{path}"
    child.terminate()
    await child.wait()


async def over(store: RedisStore, call_sid: str) -> None:
    """Until the call has ended."""
    async with asyncio.timeout(50), store.feed.follow(call_sid) as live:
        if (await store.history.call(call_sid))["status"] != "ended":
            async for message in live:
                if json.loads(message.json)["type"] == "call.ended":
                    return


async def ask_everything(url: str) -> str:
    """Good and bad requests of every kind; all that was answered."""
    said = ""
    async with aiohttp.ClientSession() as http:
        for path in ("/v1/calls", "/v1/server", f"/v1/calls?api_key={GUESS}&q={GUESS}", "/metrics", "/readyz"):
            for headers in ({}, {"X-API-Key": PLAIN}, {"Authorization": f"Bearer {HASHED}"}, {"X-API-Key": GUESS}):
                async with http.get(url + path, headers=headers) as answer:
                    said += await answer.text()
        for path in ("/v1/twiml", "/v1/stream-status", "/v1/calls/CA1/attach", "/v1/sample-calls"):
            for headers in ({}, {"X-API-Key": PLAIN, "X-Twilio-Signature": GUESS}):
                async with http.post(url + path, headers=headers, data={"From": NUMBER}) as answer:
                    said += await answer.text()
        async with http.get(f"{url}/v1/media", headers={"Upgrade": "websocket", "X-API-Key": PLAIN}) as answer:
            said += await answer.text()
    return said


async def test_no_secret_is_told_by_a_server_or_its_commands(tmp_path: Path, locked_redis: str) -> None:
    environment = ENVIRONMENT | {"TRANSCRIBER_REDIS_URL": locked_redis, "TRANSCRIBER_LOG_LEVEL": "debug"}
    async with process("--data-dir", str(tmp_path), **environment) as child:
        url = await wait_until_ready(child)
        answers = await ask_everything(url)
        async with Phone(url, api_key=HASHED).call() as call:
            await call.play(3000)
            assert await call.hang_up() == 1000
        child.send_signal(signal.SIGTERM)
        assert child.stdout is not None
        logged = (await asyncio.wait_for(child.stdout.read(), 30)).decode()
    assert "X-Twilio-Signature" in logged
    assert "transcriber_refusals_total" in answers
    assert told(answers + logged) == []
    _, checked = await command("check", "--data-dir", str(tmp_path), **environment)
    assert "redis: answers" in checked
    assert told(checked) == []


@pytest.mark.parametrize(
    ("argv", "url"),
    [
        (("serve", "--port", "0"), f"redis://:{REDIS}@127.0.0.1:1/0"),
        (("serve", "--port", "0"), f"redis://u:{REDIS}@/{REDIS}/x"),
        (("check",), f"redis://:{REDIS}@127.0.0.1:1/0"),
        (("check",), REDIS),
        (("tail",), f"redis://u:{REDIS}@/{REDIS}/x"),
        (("calls",), REDIS),
        (("webhook", "http://127.0.0.1:1/x"), f"redis://:{REDIS}@127.0.0.1:1/0"),
        (("webhook", f"https://u:{MIRROR}@[/"), REDIS),
        (("models", "pull", "nothing-of-that-name"), ""),
    ],
)
async def test_no_error_tells_a_secret(tmp_path: Path, argv: tuple[str, ...], url: str) -> None:
    environment = ENVIRONMENT | {"TRANSCRIBER_REDIS_URL": url, "TRANSCRIBER_DATA_DIR": str(tmp_path)}
    environment |= {"TRANSCRIBER_MODEL_LIST_URL": "", "TRANSCRIBER_MODEL_MIRROR": f"http://u:{MIRROR}@127.0.0.1:1/x"}
    _, said = await command(*argv, **environment)
    assert said.strip()
    assert told(said) == []
    assert "Traceback" not in said


async def test_neither_words_nor_numbers_are_logged(tmp_path: Path) -> None:
    async with process("--data-dir", str(tmp_path)) as child:
        url = await wait_until_ready(child)
        parameters = {"from": NUMBER, "inbound_label": "Ada Lovelace", "hints": "Lovelace"}
        async with Phone(url).call("01_order_status", parameters=parameters) as call:
            await call.play()
            await call.press("7")
            await call.send('{"event": "media", "media": {"payload": "?"}}')
            assert await call.hang_up(within_s=50) == 1000
        async with aiohttp.ClientSession() as http:
            form = {"CallSid": call.call_sid, "From": NUMBER, "To": NUMBER}
            for path in ("/v1/twiml", "/v1/stream-status"):
                await http.post(url + path, data=form)
        async with await open_store(socket_url(tmp_path / "redis"), prefix="transcripts", ttl_s=0) as store:
            await over(store, call.call_sid)
            events = [json.loads(text) for text in await store.history.events(call.call_sid)]
        child.send_signal(signal.SIGTERM)
        assert child.stdout is not None
        logged = (await asyncio.wait_for(child.stdout.read(), 30)).decode()
    finals = [event["text"] for event in events if event["type"] == "final"]
    assert len(finals) > 5
    assert "stream closed" in logged
    for text in finals:
        assert text not in logged
    assert not re.search(r"Lovelace|4930901820555", logged)
