"""What the metrics tell of live streams, and of each one that ended."""

import logging
from collections.abc import Collection

from transcriber.audio.chunk import TRACKS
from transcriber.calls.session import Session
from transcriber.observability.metrics import Metrics
from transcriber.recognition.service import RecognitionService

log = logging.getLogger(__name__)


def measure(metrics: Metrics, live: Collection[Session], *, ears: RecognitionService, capacity: int) -> None:
    """The gauges, as they are now. `capacity`: how many tracks there may be."""
    metrics.streams_live.set(len(live))
    metrics.tracks_live.set(sum(len(session.start.tracks) for session in live))
    metrics.calls_live.set(len({session.start.call_sid for session in live}))
    metrics.recognition_backlog_seconds.set(max((session.backlog_s for session in live), default=0.0))
    metrics.recognition_wait_seconds.set(ears.lanes.load.wait_s)
    metrics.tracks_capacity.set(capacity)
    lags = [session.lag_s for session in live]
    for track in TRACKS:
        most_s = max((lag_s.get(track, 0.0) for lag_s in lags), default=0.0)
        metrics.track_lag_seconds.labels(track).set(most_s)
    pools = ears.models.pools
    metrics.recognizers.labels("idle").set(sum(pool.idle for pool in pools))
    metrics.recognizers.labels("lent").set(sum(pool.lent for pool in pools))


def count(metrics: Metrics, session: Session, reason: str) -> None:
    """A stream has ended: into the counters, and a line into the log."""
    received = session.received
    metrics.streams.labels(reason).inc()
    metrics.frames.inc(received.frames)
    metrics.frames_lost.inc(received.frames_lost)
    for code, times in session.faults.items():
        metrics.bad_messages.labels(code).inc(times)
    seconds = sum(received.audio_ms().values()) / 1000
    metrics.audio_seconds.inc(seconds)
    log.info(
        "stream closed: %s, %d frames, %.1f s of audio, %d lost, faults %s",
        reason,
        received.frames,
        seconds,
        received.frames_lost,
        dict(session.faults) or "none",
    )
