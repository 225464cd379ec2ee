"""A Twilio that dials us, with trouble by design: lost, late, repeated and shuffled audio, cut lines, raw messages."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from transcriber.audio import sample_calls
from transcriber.audio.wav import Recording, read_recording
from transcriber.telephony.simulator import CallIds, Frame, MediaStreamClient, MessageBuilder, Target, connect, frames
from transcriber.telephony.simulator.client import RealtimeClock

Audio = str | Path | Recording


class Phone:
    """Dials one server. `url`: http(s) or ws(s), with or without the media path."""

    def __init__(
        self,
        url: str,
        *,
        auth_token: str | None = None,
        public_url: str | None = None,
        api_key: str | None = None,
        fingerprint: bytes | None = None,
    ) -> None:
        self.target = Target(
            url=url, auth_token=auth_token, public_url=public_url, api_key=api_key, fingerprint=fingerprint
        )

    @asynccontextmanager
    async def call(
        self,
        audio: Audio = sample_calls.DEFAULT,
        *,
        ids: CallIds | None = None,
        tracks: Sequence[str] | None = None,
        parameters: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        frame_ms: int = 20,
        speed: float = 0,
        start: bool = True,
    ) -> AsyncIterator["PhoneCall"]:
        """An open call that has said `connected` and (unless told otherwise) `start`; closed at the end.

        `audio`: a bundled call's name, a wav file or a recording. `speed` 0: as fast as the server takes it.
        Raises ServerUnreachable when the server refuses the upgrade.
        """
        recording = _recording(audio)
        chosen = tuple(tracks or recording.tracks)
        messages = MessageBuilder(ids or CallIds(), chosen, parameters=parameters)
        async with connect(self.target, headers=headers) as client:
            cut = frames(recording, tracks=chosen, frame_ms=frame_ms)
            call = PhoneCall(client, messages, list(cut), clock=RealtimeClock(speed))
            if start:
                await call.send(messages.connected())
                await call.send(messages.start())
            yield call


class PhoneCall:
    """A call in progress: each method takes up the recording where the last one left it."""

    def __init__(
        self, client: MediaStreamClient, messages: MessageBuilder, audio: Sequence[Frame], *, clock: RealtimeClock
    ) -> None:
        self.client = client
        self.messages = messages
        self._audio = audio
        self._at = 0
        self._clock = clock
        self._skipped_ms = 0

    @property
    def call_sid(self) -> str:
        """The call's sid."""
        return self.messages.ids.call

    @property
    def stream_sid(self) -> str:
        """The stream's sid."""
        return self.messages.ids.stream

    @property
    def at_ms(self) -> int:
        """How much of the recording is behind us."""
        return self._audio[self._at].at_ms if self._at < len(self._audio) else self._audio[-1].end_ms

    @property
    def close_code(self) -> int | None:
        """The server's close code; 1006 for a lost connection, None while the connection is open."""
        return self.client.close_code

    async def play(self, ms: int | None = None) -> None:
        """Send the next `ms` of audio, or all that is left."""
        for frame in self._next(ms):
            await self._speak(frame)

    async def drop(self, ms: int) -> None:
        """Lose `ms` of audio: the timestamps go on as if it had been sent, the counters do not."""
        for _ in self._next(ms):
            pass

    async def mute(self, track: str, ms: int) -> None:
        """Send the next `ms` without a track's frames: the other one and the timestamps go on."""
        for frame in self._next(ms):
            if frame.track != track:
                await self._speak(frame)

    def skip(self, ms: int) -> None:
        """From now on timestamps lie `ms` later: nothing was said and nothing sent in between."""
        self._skipped_ms += ms

    @asynccontextmanager
    async def stall(self, ms: int) -> AsyncIterator[None]:
        """Hold back the next `ms` of audio while inside, then deliver it at once, timestamps intact."""
        held = [self.messages.media(frame) for frame in self._next(ms)]
        yield
        for text in held:
            await self.client.send(text)

    async def reorder(self, ms: int = 40) -> None:
        """Send the next `ms` of audio backwards: sequence numbers and timestamps as they should have come."""
        for text in reversed([self.messages.media(frame) for frame in self._next(ms)]):
            await self.client.send(text)

    async def repeat(self, ms: int = 20, *, times: int = 2) -> None:
        """Send each frame of the next `ms` `times` times, the very same message."""
        for frame in self._next(ms):
            text = self.messages.media(frame)
            for _ in range(times):
                await self.client.send(text)

    async def press(self, digit: str) -> None:
        """Press a key."""
        await self.client.send(self.messages.dtmf(digit))

    async def send(self, message: str | bytes) -> None:
        """Send any message; bytes make a binary one. Raises ServerUnreachable once the server has closed."""
        await self.client.send(message)

    async def hang_up(self, *, stop: bool = True, within_s: float = 20) -> int:
        """End the call: with `stop` wait for the server's close, without it close. Returns the close code."""
        if stop:
            await self.client.send(self.messages.stop())
            return await self.closed(within_s=within_s)
        await self.client.close()
        return await self.closed(within_s=within_s)

    async def cut(self) -> None:
        """Drop the connection without a word."""
        await self.client.cut()

    async def closed(self, *, within_s: float = 20) -> int:
        """Wait for the end of the connection: the server's close code. Raises TimeoutError."""
        code, _ = await self.client.closed(within_s=within_s)
        return code

    async def _speak(self, frame: Frame) -> None:
        await self._clock.until(frame.end_ms - self._skipped_ms)
        await self.client.send(self.messages.media(frame))

    def _next(self, ms: int | None) -> Iterator[Frame]:
        end_ms = None if ms is None else self.at_ms + ms
        while self._at < len(self._audio) and (end_ms is None or self._audio[self._at].at_ms < end_ms):
            frame = self._audio[self._at]
            self._at += 1
            yield replace(frame, at_ms=frame.at_ms + self._skipped_ms)


def _recording(audio: Audio) -> Recording:
    if isinstance(audio, Recording):
        return audio
    return read_recording(audio if isinstance(audio, Path) else sample_calls.path(audio))
