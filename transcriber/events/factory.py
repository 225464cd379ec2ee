"""Makes events of what telephony and recognition report of a stream. Times stay those of the stream. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from transcriber.events.schema import (
    CallEnded,
    CallStarted,
    Dtmf,
    Final,
    Gap,
    Partial,
    Persisted,
    StreamError,
    StreamStarted,
    StreamStopped,
)
from transcriber.recognition.results import FinalResult, PartialResult
from transcriber.telephony.outcomes import AudioGap, DtmfReceived, StreamFault
from transcriber.telephony.twilio.messages import Start

Fact = FinalResult | AudioGap | DtmfReceived | StreamFault
"""What becomes a stored event between a stream's start and its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEventFactory:
    """What every event of a stream repeats. `at` is the wall clock."""

    start: Start
    speakers: Mapping[str, str]
    language: str
    model: str
    unknown_words: tuple[str, ...] = ()

    def started(self, at: str) -> tuple[CallStarted, StreamStarted]:
        """The events of the start; the ticket among the parameters is left out."""
        start = self.start
        call = CallStarted(call_sid=start.call_sid, account_sid=start.account_sid, resumed=False, at=at)
        stream = StreamStarted(
            call_sid=start.call_sid,
            stream_sid=start.stream_sid,
            tracks=start.tracks,
            speakers=self.speakers,
            start_ms=0,
            language=self.language,
            model=self.model,
            parameters={name: value for name, value in start.parameters.items() if name != "ticket"},
            unknown_words=self.unknown_words,
            at=at,
        )
        return call, stream

    def stopped(
        self, reason: str, *, audio_ms: Mapping[str, int], errors: Mapping[str, int], at: str
    ) -> tuple[StreamStopped, CallEnded]:
        """The events of the end."""
        call_sid, stream_sid = self.start.call_sid, self.start.stream_sid
        stream = StreamStopped(
            call_sid=call_sid, stream_sid=stream_sid, reason=reason, audio_ms=audio_ms, errors=errors, at=at
        )
        return stream, CallEnded(call_sid=call_sid, reason=reason, at=at)

    def event(self, fact: Fact, track: str, *, at: str) -> Persisted:
        """The event of a fact; `track` is that of a result."""
        call_sid, stream_sid = self.start.call_sid, self.start.stream_sid
        match fact:
            case FinalResult():
                return self._final(fact, track, at=at)
            case AudioGap(missing_from, from_ms, to_ms):
                return Gap(
                    call_sid=call_sid,
                    stream_sid=stream_sid,
                    track=missing_from,
                    from_ms=from_ms,
                    to_ms=to_ms,
                    at=at,
                )
            case DtmfReceived(pressed_on, digit, at_ms):
                return Dtmf(
                    call_sid=call_sid,
                    stream_sid=stream_sid,
                    track=pressed_on,
                    digit=digit,
                    start_ms=at_ms,
                    at=at,
                )
            case StreamFault(code, message):
                return StreamError(call_sid=call_sid, stream_sid=stream_sid, code=code, message=message, at=at)

    def partial(self, partial: PartialResult, track: str, *, at: str) -> Partial:
        """What is published of a partial result."""
        return Partial(
            call_sid=self.start.call_sid,
            stream_sid=self.start.stream_sid,
            track=track,
            speaker=self.speakers[track],
            utterance=partial.utterance,
            revision=partial.revision,
            text=partial.text,
            stable=partial.stable,
            start_ms=partial.start_ms,
            end_ms=partial.end_ms,
            language=self.language,
            model=self.model,
            at=at,
        )

    def _final(self, result: FinalResult, track: str, *, at: str) -> Final:
        return Final(
            call_sid=self.start.call_sid,
            stream_sid=self.start.stream_sid,
            track=track,
            speaker=self.speakers[track],
            utterance=result.utterance,
            text=result.text,
            start_ms=result.words[0].start_ms,
            end_ms=result.words[-1].end_ms,
            confidence=result.confidence,
            words=result.words,
            language=self.language,
            model=self.model,
            at=at,
        )
