"""`transcriber serve` as a process: ready, SIGTERM in the middle of calls, errors in one line."""

import asyncio
import json
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from tests.phone import Phone
from tests.process import process, wait_for_line, wait_until_ready
from transcriber.catalog import find
from transcriber.runtime import allocator
from transcriber.store.redis.private_server import socket_url
from transcriber.store.redis_store import open_store


def decoders_map_mimalloc(server_pid: int) -> set[bool]:
    """Whether the model process and its workers do."""
    decoders = psutil.Process(server_pid).children(recursive=True)
    programs = [process for process in decoders if "model_process" in " ".join(process.cmdline())]
    return {"libmimalloc" in Path(f"/proc/{process.pid}/maps").read_text() for process in programs}


@pytest.mark.parametrize(("preload", "on_mimalloc"), [(None, True), ("", False)])
async def test_decoding_runs_on_mimalloc_unless_told_otherwise(
    tmp_path: Path, preload: str | None, *, on_mimalloc: bool
) -> None:
    environment = {} if preload is None else {allocator.PRELOAD_VARIABLE: preload}
    async with process("--data-dir", str(tmp_path), **environment) as child:
        await wait_until_ready(child)
        assert decoders_map_mimalloc(child.pid) == {on_mimalloc}
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 20) == 0


@pytest.mark.parametrize("hurried", [False, True])
async def test_sigterm_finishes_live_calls_and_loses_nothing(tmp_path: Path, *, hurried: bool) -> None:
    drain = "60" if hurried else "4"
    async with process("--data-dir", str(tmp_path), "--drain-s", drain) as child:
        url = await wait_until_ready(child)
        assert child.stdout is not None
        async with Phone(url).call() as call, Phone(url).call("01_order_status") as other:
            await call.play()
            await other.play(5000)
            child.send_signal(signal.SIGTERM)
            told = await asyncio.wait_for(child.stdout.readuntil(b"stopping: "), 20)
            await other.play(3000)
            await call.hang_up()
            if hurried:
                child.send_signal(signal.SIGTERM)
            assert await other.closed() == 1001
        assert await asyncio.wait_for(child.wait(), 20) == 0
        assert b"Traceback" not in told + await child.stdout.read()
        sids = call.call_sid, other.call_sid

    async with process("--data-dir", str(tmp_path)) as child:
        await wait_until_ready(child)
        async with await open_store(socket_url(tmp_path / "redis"), prefix="transcripts", ttl_s=0) as store:
            for sid, reason, audio_ms in zip(sids, ("stop", "shutdown"), (22_000, 8000), strict=True):
                events = [json.loads(text) for text in await store.history.events(sid)]
                assert events[-1]["type"] == "call.ended"
                assert events[-1]["reason"] == reason
                assert abs(events[-2]["audio_ms"]["inbound"] - audio_ms) < 500
                assert [event for event in events if event["type"] == "final"]
        child.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(child.wait(), 20) == 0


@pytest.mark.parametrize(
    ("flags", "environment", "status", "said"),
    [
        (["--host", "0.0.0.0"], {}, 2, "would let anybody in"),
        ([], {"TRANSCRIBER_PROT": "1"}, 2, "unknown TRANSCRIBER_PROT"),
        ([], {"TRANSCRIBER_WORKERS": "many"}, 2, "TRANSCRIBER_WORKERS"),
        ([], {"TRANSCRIBER_TWILIO_AUTH_TOKEN": "t"}, 2, "TRANSCRIBER_PUBLIC_URL"),
        (["--model", "nope"], {}, 1, "no model 'nope'"),
        (["--redis-url", "redis://127.0.0.1:1/0"], {}, 1, "Redis"),
        (["--redis-url", "http://x"], {}, 2, "redis"),
    ],
)
async def test_what_is_wrong_is_one_clear_line(
    tmp_path: Path, flags: list[str], environment: dict[str, str], status: int, said: str
) -> None:
    async with process("--data-dir", str(tmp_path), *flags, **environment) as child:
        out, _ = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode == status
    last = out.decode().strip().splitlines()[-1]
    assert said in last
    assert "Traceback" not in out.decode()


async def test_a_port_in_use_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    async with process("--data-dir", str(tmp_path / "a")) as child:
        port = (await wait_until_ready(child)).rsplit(":", 1)[1]
        async with process("--data-dir", str(tmp_path / "b"), "--port", port) as second:
            out, _ = await asyncio.wait_for(second.communicate(), 30)
    assert second.returncode == 2
    assert "cannot listen on 127.0.0.1 port" in out.decode()


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGABRT], ids=["killed", "an assertion in the recogniser"])
async def test_calls_of_a_server_that_died_are_interrupted(tmp_path: Path, death: signal.Signals) -> None:
    async with process("--data-dir", str(tmp_path)) as child:
        url = await wait_until_ready(child)
        async with Phone(url).call() as call:
            await call.play(9000)
            async with await open_store(socket_url(tmp_path / "redis"), prefix="transcripts", ttl_s=0) as store:
                async with asyncio.timeout(20), store.feed.follow(call.call_sid) as live:
                    async for message in live:
                        if message.channel == "final":
                            break
                published = json.loads(message.json)
            child.send_signal(death)
            assert await call.closed() == 1006
    async with process("--data-dir", str(tmp_path)) as child:
        await wait_until_ready(child)
        async with await open_store(socket_url(tmp_path / "redis"), prefix="transcripts", ttl_s=0) as store:
            events = [json.loads(text) for text in await store.history.events(call.call_sid)]
            assert published in events
            assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
            assert (events[-1]["type"], events[-1]["reason"]) == ("call.ended", "interrupted")
            assert (await store.history.call(call.call_sid))["status"] == "interrupted"
            await store.history.delete(call.call_sid)


async def test_another_model_for_new_calls_without_a_restart(tmp_path: Path) -> None:
    better = tmp_path / "models" / "vosk-model-small-en-9.9"
    async with process("--data-dir", str(tmp_path)) as child:
        url = await wait_until_ready(child)
        async with Phone(url).call() as before:
            await before.play(3000)
            child.send_signal(signal.SIGHUP)
            await wait_for_line(child, b"en-demo is still the one to use")
            shutil.copytree(find("en-demo", tmp_path).path, better)
            (better / "am" / "final.mdl").unlink()
            child.send_signal(signal.SIGHUP)
            await wait_for_line(child, b"the model stays as it is")
            shutil.copy(find("en-demo", tmp_path).path / "am" / "final.mdl", better / "am")
            child.send_signal(signal.SIGHUP)
            await wait_for_line(child, b"vosk-model-small-en-9.9 for new calls")
            async with Phone(url).call("01_order_status") as after:
                await after.play(6000)
                await before.play(6000)
                await asyncio.gather(before.hang_up(), after.hang_up())
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 20) == 0
    async with process("--data-dir", str(tmp_path)) as child:
        await wait_until_ready(child)
        async with await open_store(socket_url(tmp_path / "redis"), prefix="transcripts", ttl_s=0) as store:
            for call, model in ((before, "en-demo"), (after, "vosk-model-small-en-9.9")):
                events = [json.loads(text) for text in await store.history.events(call.call_sid)]
                assert events[-1]["type"] == "call.ended"
                assert {event["model"] for event in events if event["type"] == "final"} == {model}
