"""The metrics of live streams, and of each stream that ended."""

import logging
from collections.abc import Mapping

from transcriber.audio.chunk import TRACKS
from transcriber.calls.admission import AdmissionPolicy
from transcriber.calls.final_delay import FinalDelay
from transcriber.calls.session import Session
from transcriber.observability.metrics import Metrics
from transcriber.recognition.service import RecognitionService

log = logging.getLogger(__name__)


class SessionMetrics:
    """Reads the live streams, by StreamSid, and writes gauges and counters. Belongs to the event loop's thread."""

    def __init__(
        self,
        metrics: Metrics,
        live: Mapping[str, Session],
        *,
        admission: AdmissionPolicy,
        recognition: RecognitionService,
    ) -> None:
        self._metrics = metrics
        self._live = live
        self._admission = admission
        self._recognition = recognition
        metrics.draining.set_function(lambda: admission.draining)
        metrics.sockets_unproved.set_function(lambda: admission.pending.unauthenticated)

    def final_delay(self, endpoint_ms: int) -> FinalDelay:
        """For a new stream."""
        return FinalDelay(self._metrics.final_delay_seconds, endpoint_ms=endpoint_ms)

    def update(self) -> None:
        """Set the gauges to what is true now."""
        metrics, live = self._metrics, self._live.values()
        metrics.streams_live.set(len(live))
        metrics.tracks_live.set(self._admission.live_tracks)
        metrics.calls_live.set(len({session.start.call_sid for session in live}))
        metrics.recognition_backlog_seconds.set(max((session.backlog_s for session in live), default=0.0))
        metrics.recognition_wait_seconds.set(self._recognition.load.wait_s)
        metrics.tracks_capacity.set(self._admission.max_tracks)
        lags = [session.lag_s for session in live]
        for track in TRACKS:
            longest_s = max((lag_s.get(track, 0.0) for lag_s in lags), default=0.0)
            metrics.track_lag_seconds.labels(track).set(longest_s)
        workers = [worker for model in self._recognition.models.loaded for worker in model.workers]
        metrics.recognizers.labels("idle").set(sum(worker.idle for worker in workers))
        metrics.recognizers.labels("lent").set(sum(worker.lent for worker in workers))
        metrics.workers.set(sum(worker.pid > 0 for worker in workers))

    def stream_ended(self, session: Session, reason: str) -> None:
        """Add the stream to the counters, write a line into the log, and update the gauges."""
        metrics, received = self._metrics, session.received
        metrics.streams.labels(reason).inc()
        metrics.frames.inc(received.frames)
        metrics.frames_lost.inc(received.frames_lost)
        for code, times in session.faults.items():
            metrics.bad_messages.labels(code).inc(times)
        audio_s = sum(received.audio_ms().values()) / 1000
        metrics.audio_seconds.inc(audio_s)
        self.update()
        log.info(
            "stream closed: %s, %d frames, %.1f s of audio, %d lost, faults %s",
            reason,
            received.frames,
            audio_s,
            received.frames_lost,
            dict(session.faults) or "none",
        )
