"""Our own service as a child process on loopback: called as Twilio calls, listened to as a subscriber of its Redis."""

import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from transcriber.benchmark.call_result import CallResult, Utterance
from transcriber.benchmark.material import Call
from transcriber.benchmark.system_under_test import LAST_WORDS_WITHIN_S, ResourceUse, resources_of
from transcriber.catalog import ModelFolder
from transcriber.errors import ServerUnreachable
from transcriber.runtime import child_process
from transcriber.runtime.child_process import ChildProcess
from transcriber.settings.definition import Settings
from transcriber.settings.sources import PREFIX
from transcriber.store.feed import RedisFeed
from transcriber.store.ports import PublishedEvent
from transcriber.store.redis.private_server import socket_url
from transcriber.store.redis_store import open_store
from transcriber.telephony.simulator import CallIds, Target, dial
from transcriber.telephony.simulator.message_builder import FIRST_TIMESTAMP_MS

READY = re.compile(r"ready on (http://[^\s;,]+)")
ROOM = re.compile(r"room for (\d+) tracks")
READY_S = 120
MAX_WAITING = 100_000
"""Published messages that may wait for us: one that was lost here would count as lost by the service."""


class _EventRecorder:
    """Gathers one call's events as its result."""

    def __init__(self, call: Call) -> None:
        self.result = CallResult(call)
        self.ended = asyncio.Event()
        self._first: dict[tuple[str, int], float] = {}

    def record(self, event: dict[str, Any], now_ms: float) -> None:
        match event["type"]:
            case "partial" if event["text"]:
                self._first.setdefault((event["track"], event["utterance"]), now_ms)
            case "final":
                first_ms = self._first.setdefault((event["track"], event["utterance"]), now_ms)
                self.result.utterances.append(
                    Utterance(
                        track=event["track"],
                        start_ms=event["start_ms"] - FIRST_TIMESTAMP_MS,
                        end_ms=event["end_ms"] - FIRST_TIMESTAMP_MS,
                        text=event["text"],
                        first_ms=first_ms,
                        final_ms=now_ms,
                    )
                )
            case "stream.error":
                self.result.error_codes.append(event["code"])
            case "call.ended":
                self.ended.set()


class TranscriberService:
    """A running server; implements `SystemUnderTest`."""

    def __init__(self, name: str, url: str, pid: int, *, endpoint_ms: int, ready_s: float) -> None:
        self.name = name
        self.ready_s = ready_s
        self.endpoint_ms: int | None = endpoint_ms
        self._target = Target(url=url)
        self._pid = pid
        self._live: dict[str, _EventRecorder] = {}

    async def call(self, call: Call, *, speed: float = 1.0) -> CallResult:
        """See `SystemUnderTest`."""
        ids, recorder = CallIds(), _EventRecorder(call)
        self._live[ids.call] = recorder
        try:
            await dial(
                self._target,
                call.recording,
                ids=ids,
                speed=speed,
                on_position=recorder.result.playback.sent,
                close_s=LAST_WORDS_WITHIN_S,
            )
            await asyncio.wait_for(recorder.ended.wait(), LAST_WORDS_WITHIN_S)
        except TimeoutError:
            raise ServerUnreachable(f"a call was played, but has not ended {LAST_WORDS_WITHIN_S:.0f} s later") from None
        finally:
            del self._live[ids.call]
        return recorder.result

    def resources(self) -> ResourceUse | None:
        """See `SystemUnderTest`."""
        return resources_of(self._pid)

    async def listen(self, messages: AsyncIterator[PublishedEvent]) -> None:
        """Give what is published to the call it belongs to, until cancelled."""
        async for message in messages:
            now_ms = time.monotonic() * 1000
            if recorder := self._live.get(message.call_sid):
                recorder.record(json.loads(message.json), now_ms)


@asynccontextmanager
async def run_service(model: ModelFolder, *, speech_gate: bool = True) -> AsyncIterator[TranscriberService]:
    """A server of its own that admits any number of tracks. Raises TranscriberError."""
    flags = ("--max-tracks", "100000", "--speech-gate", str(int(speech_gate)), "--drain-s", "0")
    began_s = time.monotonic()
    async with _run_server(model, flags) as (server, folder):
        found = await server.wait_for_line(READY, within_s=READY_S)
        ready_s = time.monotonic() - began_s
        name = "service" if speech_gate else "service without its gate"
        system = TranscriberService(name, found[1], server.pid, endpoint_ms=Settings().endpoint_ms, ready_s=ready_s)
        url = socket_url(folder / "redis")
        async with await open_store(url, prefix=Settings().redis_prefix, ttl_s=0) as store:
            feed = RedisFeed(store.client, store.keys, max_waiting=MAX_WAITING)
            try:
                async with feed.follow() as messages:
                    listening = asyncio.create_task(system.listen(messages))
                    yield system
                    listening.cancel()
                    with suppress(asyncio.CancelledError):
                        await listening
            finally:
                await feed.aclose()


async def measure_max_tracks(model: ModelFolder) -> int:
    """How many tracks a server with this model says it has room for on this machine."""
    async with _run_server(model, ()) as (server, _):
        await server.wait_for_line(READY, within_s=READY_S)
        return int((await server.wait_for_line(ROOM, within_s=1))[1])


@asynccontextmanager
async def _run_server(model: ModelFolder, flags: Sequence[str]) -> AsyncIterator[tuple[ChildProcess, Path]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with tempfile.TemporaryDirectory(prefix="transcriber-bench-") as folder:
        command = [sys.executable, "-m", "transcriber", "serve", "--port", "0", "--data-dir", folder]
        command += ["--model", str(model.path), *flags]
        async with child_process.running(command, environment=environment) as server:
            try:
                yield server, Path(folder)
            except ServerUnreachable as error:
                said = " / ".join(list(server.last_lines)[-3:])
                raise ServerUnreachable(f"{error}; the server's last words: {said or 'none'}") from None
