"""Grammars and hints as callers send them: whatever they hold, the server lives, and what it does not know is told."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.phone import Phone
from tests.process import process, wait_until_ready
from tests.server.conftest import Serve
from transcriber.catalog import find
from transcriber.errors import CallNotFound, ModelError
from transcriber.recognition.supervisor.model_process import ModelProcess
from transcriber.recognition.vosk_engine import VoskEngine
from transcriber.store.redis.private_server import socket_url
from transcriber.store.redis_store import RedisStore, open_store

SYMBOLS = ["<eps>", "#0", "<s>", "</s>", "[unk]", "<unk>", "!SIL", "{noise}", "-"]
LONE = '["yes", "no \\ud800", "no\\u0000", "<eps>"]'
GRAMMARS = {
    "a phrase with the silent symbol": ("yes,no <eps>", {"<eps>"}),
    "the silent symbol alone": ("<eps>", {"<eps>"}),
    "nothing but symbols": (",".join(SYMBOLS), {symbol.lower() for symbol in SYMBOLS} - {"[unk]"}),
    "symbols inside phrases": (",".join(f"yes {symbol}" for symbol in SYMBOLS), {symbol.lower() for symbol in SYMBOLS}),
    "escapes of no character": (LONE, {"<eps>"}),
    "quotes and backslashes": (json.dumps(['ye"s', "\\", "yes"]), {'ye"s', "\\"}),
    "only unknown words": ("qqqq,wwww", {"qqqq", "wwww"}),
    "nothing": ("[]", set()),
    "blanks": ('["", "  "]', set()),
    "the same over and over": (json.dumps(["yes"] * 70), set()),
    "one long phrase": ("yes " * 120, set()),
}


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


async def test_no_grammar_ends_the_server(tmp_path: Path) -> None:
    """A process of its own: the library aborts the one in which it meets what it does not expect."""
    async with process("--data-dir", str(tmp_path), "--model", "en-demo") as child:
        url = await wait_until_ready(child)
        async with await open_store(socket_url(tmp_path / "redis"), prefix="transcripts", ttl_s=0) as store:
            for name, (grammar, unknown) in GRAMMARS.items():
                events = await heard(Phone(url), store, {"grammar": grammar, "hints": "<eps>, Acme #0"})
                assert child.returncode is None, name
                told = set(of(events, "stream.started")[0]["unknown_words"])
                assert unknown | {"<eps>", "#0"} <= told, name
                assert of(events, "final"), name
                assert "internal_error" not in {event["code"] for event in of(events, "stream.error")}, name


async def heard(phone: Phone, store: RedisStore, parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    """The events of a call of 4 s with these parameters, once it has ended."""
    async with phone.call(parameters=parameters) as call:
        await call.play(4000)
        assert await call.hang_up() == 1000
    async with store.feed.follow(call.call_sid) as live, asyncio.timeout(30):
        while True:
            with suppress(CallNotFound):
                events = [json.loads(text) for text in await store.history.events(call.call_sid)]
                if events and events[-1]["type"] == "call.ended":  # none: the first was written while they were read
                    return events
            await anext(aiter(live))


async def test_a_grammar_holds_and_what_it_lacks_is_named(serve: Serve, demo_model: ModelProcess) -> None:
    running = await serve(model=demo_model)
    asked = {"grammar": "hello, yes <eps>, zebras of mars, [unk]"}
    async with running.phone.call(parameters=asked) as call:
        await call.play(8000)
        await call.hang_up()
        events = await running.ended(call.call_sid)
    assert set(" ".join(final["text"] for final in of(events, "final")).split()) <= {"hello", "[unk]"}
    [error] = of(events, "stream.error")
    assert error["code"] == "grammar_words_unknown"
    assert "yes <eps>" in error["message"]
    assert "zebras of mars" in error["message"]


@pytest.fixture(scope="module")
def demo_engine(tmp_path_factory: pytest.TempPathFactory) -> VoskEngine:
    """The bundled model in this process."""
    return VoskEngine(find("en-demo", tmp_path_factory.mktemp("data")))


@pytest.mark.parametrize("symbol", SYMBOLS)
async def test_the_engine_itself_lets_no_symbol_through(
    demo_model: ModelProcess, demo_engine: VoskEngine, symbol: str
) -> None:
    assert await demo_model.unknown(["yes", symbol, "no"]) == (symbol,)
    assert demo_engine.unknown(["yes", symbol, "no"]) == (symbol,)
    with pytest.raises(ModelError, match="does not know"):
        demo_engine.create(["yes", f"no {symbol}"])


async def test_words_of_any_script_are_looked_up_as_they_are(demo_model: ModelProcess) -> None:
    odd = ["\ud800", "yes\0", "\U0001f600", "예", "نیم\u200cفاصله", "o'clock", ""]
    assert set(odd) - {"o'clock"} <= set(await demo_model.unknown(odd))
