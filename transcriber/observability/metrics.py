"""The server's Prometheus metrics, in a registry of their own."""

import math
import platform
from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from transcriber import __version__

PREFIX = "transcriber"
FINAL_DELAY_BUCKETS_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30)
WRITE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
disable_created_metrics()  # type: ignore[no-untyped-call]  # a library-wide switch: creation times would double every counter


class Metrics:
    """Every metric by its name without `transcriber_` and `_total`. Any thread may change them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        Info("build", "Version of the server", namespace=PREFIX, registry=self.registry).info(
            {"version": __version__, "python": platform.python_version()}
        )
        self.calls_live = self._gauge("calls_live", "Calls with at least one stream here")
        self.streams_live = self._gauge("streams_live", "Streams being received")
        self.tracks_live = self._gauge("tracks_live", "Tracks being transcribed")
        self.recognition_backlog_seconds = self._gauge(
            "recognition_backlog_seconds", "Age of the oldest audio that waits for a recognizer"
        )
        self.recognition_wait_seconds = self._gauge(
            "recognition_wait_seconds", "How long a track with audio waits for a worker, moving mean"
        )
        self.tracks_capacity = self._gauge(
            "tracks_capacity", "How many live tracks this server estimates that it can carry"
        )
        self.draining = self._gauge("draining", "1 while the server shuts down and admits no call, else 0")
        self.track_lag_seconds = self._gauge(
            "track_lag_seconds", "Audio received and not yet recognised, of the live track that has most of it", "track"
        )
        self.recognizers = self._gauge("recognizers", "Recognizers by state", "state")
        self.workers = self._gauge("workers", "Recognition workers that are running")
        self.worker_deaths = self._counter(
            "worker_deaths", "Recognition workers that died and were replaced, by signal, `hang` or `exit`", "reason"
        )
        self.tasks = self._gauge("tasks", "Tasks on the event loop; none is left of a call that has ended")
        self.streams = self._counter("streams", "Streams that ended, by reason", "reason")
        self.frames = self._counter("frames", "Media messages received")
        self.frames_lost = self._counter("frames_lost", "Media messages the sequence numbers say are missing")
        self.bad_messages = self._counter("bad_messages", "Messages passed over, by code", "code")
        self.refusals = self._counter(
            "refusals", "Requests and streams refused, by HTTP status or close code", "status"
        )
        self.finals = self._counter("finals", "Finals written")
        self.partials = self._counter("partials", "Partials published")
        self.words = self._counter("words", "Words in finals")
        self.audio_seconds = self._counter("audio_seconds", "Audio received, in seconds over all tracks")
        self._add_store_metrics()

    def _add_store_metrics(self) -> None:
        self.final_delay_seconds = self._histogram(
            "final_delay_seconds",
            "From the end of speech as recognised to the final that Redis has confirmed, less ENDPOINT_MS",
            FINAL_DELAY_BUCKETS_S,
        )
        self.write_seconds = self._histogram(
            "write_seconds", "From handing a write to Redis to its confirmation", WRITE_BUCKETS_S
        )
        self.publish_failures = self._counter("publish_failures", "Writes to Redis that failed")
        self.index_failures = self._counter("index_failures", "Index writes that failed, made up for later", "index")
        self.events_lost = self._counter("events_lost", "Events given up: neither Redis nor the disk took them")
        self.outbox_events = self._gauge("outbox_events", "Events that wait for Redis")
        self.outbox_unsafe_events = self._gauge("outbox_unsafe_events", "Those of them that are in memory only")
        self.outbox_age_seconds = self._gauge("outbox_age_seconds", "How long the oldest of them has been waiting")
        self.streams_interrupted = self._counter(
            "streams_interrupted", "Streams of dead servers that this server ended as interrupted"
        )
        self.erasures_pending = self._gauge(
            "erasures_pending", "Deletions whose text may still be in the private Redis's file"
        )
        self.erasure_failures = self._counter("erasure_failures", "Times that file could not be rewritten")
        self.duplicate_streams = self._counter(
            "duplicate_streams",
            "Streams that were live on another server, by what became of them: refused, or renamed",
            "outcome",
        )
        self.calls_untranscribed = self._counter(
            "calls_untranscribed", "Voice webhooks answered with TwiML without a stream", "reason"
        )
        self._add_connection_metrics()

    def _add_connection_metrics(self) -> None:
        self.connections = self._gauge("connections", "Open connections")
        self.connections_cut = self._counter(
            "connections_cut",
            "Connections cut: no request in time, a bad handshake, an answer not read, no place left",
            "reason",
        )
        self.certificate_expiry = self._gauge(
            "certificate_expiry_timestamp_seconds", "When the certificate of TLS_CERT ends; NaN without one"
        )
        self.certificate_expiry.set(math.nan)
        self.sockets_unproved = self._gauge(
            "sockets_unproved", "Media sockets without a start that showed neither signature nor key nor ticket"
        )
        self.http_requests = self._counter(
            "http_requests", "HTTP requests by route template", "route", "method", "status"
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """The series that alerts count by: Prometheus sees no increase of one that begins with its first event."""
        for counter, values in (
            (self.refusals, ("503", "1013")),
            (self.calls_untranscribed, ("draining", "full", "no_call", "no_ticket", "error")),
            (self.worker_deaths, ("SIGABRT", "SIGKILL", "SIGSEGV", "exit", "hang")),
            (self.index_failures, ("calls", "live", "search", "leases", "unindexed")),
        ):
            for value in values:
                counter.labels(value)

    def _gauge(self, name: str, doc: str, *labels: str) -> Gauge:
        return Gauge(name, doc, labels, namespace=PREFIX, registry=self.registry)

    def _histogram(self, name: str, doc: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, doc, namespace=PREFIX, registry=self.registry, buckets=buckets)

    def _counter(self, name: str, doc: str, *labels: str) -> Counter:
        return Counter(name, doc, labels, namespace=PREFIX, registry=self.registry)
