"""Any server that speaks vosk-server's protocol, driven with the same audio: one connection a track, 16-bit PCM.

{"config": {"sample_rate": …, "words": true}}, binary audio, {"eof": 1}; one JSON answer to every message of audio and
to the end: {"partial": …}, or {"text": …, "result": [{"word", "start", "end", "conf"}]} when an utterance is over.
"""

import asyncio
import json
import os
import shlex
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from transcriber.audio.chunk import SAMPLE_RATE_HZ, Band
from transcriber.audio.g711 import expand
from transcriber.audio.upsampling import upsample
from transcriber.benchmark.call_result import CallResult, Utterance
from transcriber.benchmark.material import Call
from transcriber.benchmark.system_under_test import LAST_WORDS_WITHIN_S, ResourceUse, resources_of
from transcriber.errors import ConfigError, ServerUnreachable
from transcriber.runtime import child_process
from transcriber.telephony.simulator.client import RealtimeClock

CHUNK_MS = 100
"""Audio in one message: what our own service feeds at a time."""
READY_S = 120
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10)


class VoskServerPeer:
    """A running server; implements `SystemUnderTest`."""

    def __init__(self, url: str, *, pid: int | None, ready_s: float, rate: int, band: Band) -> None:
        self.name = "peer"
        self.ready_s = ready_s
        self.endpoint_ms: int | None = None
        self._url = url
        self._pid = pid
        self._rate = rate
        self._band = band

    async def call(self, call: Call, *, speed: float = 1.0) -> CallResult:
        """See `SystemUnderTest`. At full speed every answer is awaited, as the protocol's own clients do."""
        result, clock, failure = CallResult(call), RealtimeClock(speed), ""
        try:
            async with asyncio.TaskGroup() as group:
                for track, mulaw in call.recording.tracks.items():
                    group.create_task(self._track(result, track, mulaw, clock, in_turn=not speed))
        except* TimeoutError:
            failure = f"left audio unanswered for {LAST_WORDS_WITHIN_S:.0f} s"
        except* (aiohttp.ClientError, OSError, ServerUnreachable) as errors:
            failure = str(errors.exceptions[0])
        if failure:
            raise ServerUnreachable(f"the peer at {self._url}: {failure}")
        return result

    def resources(self) -> ResourceUse | None:
        """See `SystemUnderTest`."""
        return None if self._pid is None else resources_of(self._pid)

    async def _track(
        self, result: CallResult, track: str, mulaw: bytes, clock: RealtimeClock, *, in_turn: bool
    ) -> None:
        pcm, size = self._pcm(mulaw), 2 * self._rate * CHUNK_MS // 1000
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session, session.ws_connect(self._url) as line:
            await line.send_json({"config": {"sample_rate": self._rate, "words": True}})
            answers = _Answers(result, track)
            reading = None if in_turn else asyncio.create_task(answers.read_all(line))
            try:
                for start in range(0, len(pcm), size):
                    end_ms = (start // size + 1) * CHUNK_MS
                    await clock.until(end_ms)
                    result.playback.sent(end_ms)
                    answers.sent()
                    await line.send_bytes(pcm[start : start + size])
                    if in_turn:
                        await asyncio.wait_for(answers.read(line), LAST_WORDS_WITHIN_S)
                answers.sent()
                await line.send_json({"eof": 1})
                async with asyncio.timeout(LAST_WORDS_WITHIN_S):
                    await (answers.read_all(line) if reading is None else reading)
            finally:
                if reading is not None:
                    reading.cancel()

    def _pcm(self, mulaw: bytes) -> bytes:
        if self._rate == SAMPLE_RATE_HZ:
            return expand(mulaw).tobytes()
        return upsample(mulaw, self._band)


class _Answers:
    """Reads one connection's answers; the n-th is to the n-th message of audio."""

    def __init__(self, result: CallResult, track: str) -> None:
        self._result = result
        self._track = track
        self._sent_ms: list[float] = []
        self._taken = 0
        self._first_ms: float | None = None

    def sent(self) -> None:
        """Note that a message which will be answered is sent."""
        self._sent_ms.append(time.monotonic() * 1000)

    async def read_all(self, line: aiohttp.ClientWebSocketResponse) -> None:
        """Until the answer to the end."""
        while await self.read(line):
            pass

    async def read(self, line: aiohttp.ClientWebSocketResponse) -> bool:
        """One answer; False when there will be no more."""
        message = await line.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            return False
        now_ms = time.monotonic() * 1000
        try:
            answer = json.loads(message.data)
            self._take(answer, now_ms)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ServerUnreachable(f"its answer is not vosk-server's: {message.data[:80]}") from None
        return True

    def _take(self, answer: dict[str, object], now_ms: float) -> None:
        sent_ms = self._sent_ms[min(self._taken, len(self._sent_ms) - 1)]
        self._taken += 1
        if answer.get("partial") and self._first_ms is None:
            self._first_ms = now_ms
        if not (text := answer.get("text")):
            return
        words = answer.get("result") or ()
        times = [(word["start"], word["end"]) for word in words]  # type: ignore[attr-defined]
        self._result.utterances.append(
            Utterance(
                track=self._track,
                start_ms=round(times[0][0] * 1000) if times else 0,
                end_ms=round(times[-1][1] * 1000) if times else 0,
                text=str(text),
                first_ms=now_ms if self._first_ms is None else self._first_ms,
                final_ms=now_ms,
                lag_ms=now_ms - sent_ms,
            )
        )
        self._first_ms = None


@asynccontextmanager
async def open_peer(how: str, *, rate: int, band: Band) -> AsyncIterator[VoskServerPeer]:
    """The server at a ws:// address, or a command, started with a free port for `{port}`. Raises TranscriberError."""
    async with AsyncExitStack() as stack:
        pid, url, began_s = None, how, time.monotonic()
        if not is_url(how):
            port = _free_port()
            process = await stack.enter_async_context(child_process.running(command(how, port), environment=os.environ))
            await process.wait_for_port(port, within_s=READY_S)
            pid, url = process.pid, f"ws://127.0.0.1:{port}"
        yield VoskServerPeer(url, pid=pid, ready_s=time.monotonic() - began_s, rate=rate, band=band)


def command(how: str, port: int) -> list[str]:
    """The words of a peer's command. Raises ConfigError if it cannot be one."""
    try:
        words = [word.replace("{port}", str(port)) for word in shlex.split(how)]
    except ValueError as error:
        raise ConfigError(f"--peer {how}: {error}") from None
    if "{port}" not in how:
        raise ConfigError(f"--peer {how}: a command needs {{port}} where the peer takes its port; or give a ws:// URL")
    if shutil.which(words[0]) is None:
        raise ConfigError(f"--peer {how}: there is no program {words[0]!r}")
    return words


def is_url(how: str) -> bool:
    """Whether the peer runs already."""
    return how.startswith(("ws://", "wss://"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
