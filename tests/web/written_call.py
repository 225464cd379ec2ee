"""A call that a test writes into the history event by event, the way a session does."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from transcriber.events.schema import CallEnded, CallStarted, Final, Partial, StreamStarted, StreamStopped, Word
from transcriber.store.event_log import RedisEventLog
from transcriber.store.leases import Lease

AT = "2026-11-23T05:20:00.123Z"
SPEAKERS = {"inbound": "caller", "outbound": "agent"}


@dataclass
class WrittenCall:
    """One call of one stream; `begin` has written seq 1 (call.started) and 2 (stream.started)."""

    event_log: RedisEventLog
    call_sid: str
    stream_sid: str
    number: int = 0

    @property
    def lease(self) -> Lease:
        return Lease("nobody", self.call_sid, self.stream_sid)

    @classmethod
    async def begin(
        cls, event_log: RedisEventLog, call_sid: str, *, at_ms: int | None = None, stream_sid: str = ""
    ) -> "WrittenCall":
        call = cls(event_log, call_sid, stream_sid or f"MZ{call_sid}")
        await event_log.open(
            call.lease,
            CallStarted(call_sid=call_sid, account_sid="AC1", resumed=False, at=AT),
            StreamStarted(
                call_sid=call_sid,
                stream_sid=call.stream_sid,
                tracks=("inbound", "outbound"),
                speakers=SPEAKERS,
                start_ms=0,
                language="en",
                model="en-demo",
                parameters={},
                at=AT,
            ),
            at_ms=time.time_ns() // 1_000_000 if at_ms is None else at_ms,
        )
        return call

    async def say(self, text: str, *, start_ms: int = 0, track: str = "inbound", unsure: Sequence[str] = ()) -> None:
        self.number += 1
        words = tuple(
            Word(word, start_ms + 300 * i, start_ms + 300 * (i + 1), 0.3 if word in unsure else 0.9)
            for i, word in enumerate(text.split())
        )
        final = Final(
            call_sid=self.call_sid,
            stream_sid=self.stream_sid,
            track=track,
            speaker=SPEAKERS[track],
            utterance=self.number,
            text=text,
            start_ms=start_ms,
            end_ms=start_ms + 300 * len(words),
            confidence=0.9,
            words=words,
            language="en",
            model="en-demo",
            at=AT,
        )
        await self.event_log.append(self.lease, self.number, final)

    async def publish_partial(
        self, text: str, *, utterance: int | None = None, stable: int = 0, at_ms: int = 0
    ) -> None:
        await self.event_log.publish(
            Partial(
                call_sid=self.call_sid,
                stream_sid=self.stream_sid,
                track="inbound",
                speaker="caller",
                utterance=self.number + 1 if utterance is None else utterance,
                revision=1,
                text=text,
                stable=stable,
                start_ms=at_ms,
                end_ms=at_ms + 300,
                language="en",
                model="en-demo",
                at=AT,
            )
        )

    async def end(self) -> None:
        self.number += 1
        stopped = StreamStopped(
            call_sid=self.call_sid,
            stream_sid=self.stream_sid,
            reason="stop",
            audio_ms={"inbound": 1000, "outbound": 1000},
            errors={},
            at=AT,
        )
        await self.event_log.close(
            self.lease, self.number, stopped, CallEnded(call_sid=self.call_sid, reason="stop", at=AT)
        )
