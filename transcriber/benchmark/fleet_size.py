"""How many servers, how much Redis: reckoned from what was measured. Pure; `deploy/SIZING.md` explains each formula."""

import math
from dataclasses import dataclass

from transcriber.benchmark.sizing_costs import (
    BUS_CORES,
    BUS_SHARE,
    FINALS,
    FRAMES,
    INDEX_CORES,
    JOURNAL_BYTES,
    KEPT_BYTES,
    LOOP_TRACKS,
    MEDIA_BYTES,
    MEMORY_RESERVE,
    MEMORY_SHARE,
    MIN_MASTERS,
    OUTBOX_BYTES,
    PACKET_BYTES,
    PARTIALS,
    REDIS_CORES,
    REDIS_SHARE,
    WEBHOOK_CORES,
    ModelCost,
)
from transcriber.recognition.track_room import cost_of_each, tracks_that_fit

HOUR_S = 3600
MB, GB = 1e6, 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What is asked for. `calls` at once, of two tracks; percentages as such.

    `hours_a_day`: so long all of them are live; `history_days`: how long calls are kept; `headroom`: per cent of the
    room that stays free at the peak; `rush`: per cent of the peak that comes before new servers are ready;
    `call_minutes`: length of a long call; `outage_minutes`: how long Redis may be away without a loss.
    """

    calls: int
    hours_a_day: float = 8
    history_days: float = 30
    headroom: float = 25
    rush: float = 50
    call_minutes: float = 30
    outage_minutes: float = 60

    @property
    def tracks(self) -> int:
        """Live at once."""
        return 2 * self.calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Of a server, and of a Redis master: cores, GB of memory."""

    cores: float = 4
    redis_gb: float = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The answer. Memory and disk in GB (1e9 bytes), network in Mbit/s; of one server or of all as the name says."""

    tracks: int
    max_tracks: int
    servers: int
    min_replicas: int
    cores: float
    server_memory_gb: float
    server_disk_gb: float
    server_mbit: float
    total_mbit: float
    redis_masters: int
    redis_cores: float
    redis_memory_gb: float
    pubsub: str
    search_index_cores: float
    webhook_senders: int


def fleet(demand: Demand, model: ModelCost, machine: Machine) -> Fleet:
    """What carries the demand. ValueError: a machine on which not even two tracks fit."""
    room = room_of(model, machine.cores)
    if room < 2:
        raise ValueError(f"{machine.cores:g} cores carry no call with this model")
    tracks = demand.tracks
    servers = max(math.ceil(tracks / (1 - demand.headroom / 100) / room), math.ceil(tracks / room) + 1)
    messages = tracks * (FINALS + PARTIALS)
    pubsub = "sharded" if messages * BUS_CORES > BUS_SHARE else "global"
    kept_gb = tracks * KEPT_BYTES * demand.hours_a_day * HOUR_S * demand.history_days / GB
    kbit = FRAMES * (MEDIA_BYTES + PACKET_BYTES) * 8 / 1000
    return Fleet(
        tracks=tracks,
        max_tracks=room,
        servers=servers,
        min_replicas=min(servers, max(2, math.ceil(servers * demand.rush / 100))),
        cores=servers * machine.cores,
        server_memory_gb=round(memory_mb(model, machine.cores, room) * MEMORY_RESERVE * MB / GB, 1),
        server_disk_gb=round(room * disk_bytes_of_each(demand) / GB, 1),
        server_mbit=round(room * kbit / 1000, 1),
        total_mbit=round(tracks * kbit / 1000),
        redis_masters=masters(tracks, kept_gb, machine.redis_gb, messages if pubsub == "global" else 0),
        redis_cores=round(tracks * REDIS_CORES, 3),
        redis_memory_gb=round(kept_gb, 1),
        pubsub=pubsub,
        search_index_cores=round(tracks * INDEX_CORES, 3),
        webhook_senders=math.ceil(tracks * FINALS * WEBHOOK_CORES / REDIS_SHARE),
    )


def room_of(model: ModelCost, cores: float) -> int:
    """Tracks that one server on so many cores carries: what recognition, and what one event loop allows."""
    return min(LOOP_TRACKS, tracks_that_fit(cores, cost_of_each(model.tracks, model.cores)))


def memory_mb(model: ModelCost, cores: float, tracks: int) -> float:
    """Of a server with a worker a core and so many live tracks."""
    return model.rest_mb + (max(1, round(cores)) - 1) * model.worker_mb + tracks * model.track_mb


def disk_bytes_of_each(demand: Demand) -> float:
    """Of each track at once: the journal of a long call, and the events of an outage of Redis."""
    return 60 * (JOURNAL_BYTES * demand.call_minutes + OUTBOX_BYTES * demand.outage_minutes)


def masters(tracks: int, kept_gb: float, master_gb: float, bus_messages: float) -> int:
    """Redis masters: one, or a cluster of three at least. `bus_messages`: a second, which every node hears."""
    by_memory = math.ceil(kept_gb / (master_gb * MEMORY_SHARE))
    if by_memory <= 1 and tracks * REDIS_CORES <= REDIS_SHARE:
        return 1
    of_each = REDIS_SHARE - bus_messages * BUS_CORES
    return max(MIN_MASTERS, by_memory, math.ceil(tracks * REDIS_CORES / of_each))
